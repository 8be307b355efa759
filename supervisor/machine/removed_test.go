package machine

import (
	"slices"
	"testing"
	"time"
)

// loses has somebody remove the files of a release.
func (l life) loses(id string) {
	l.pinned.release = ""
	for i := range l.made {
		if r := &l.made[i]; r.id == id {
			r.pruned, r.gone = true, true
		}
	}
}

func TestServingReleaseWhoseFilesAreGoneGoesOnUntilAnotherIsMade(t *testing.T) {
	l := serving(t)
	l.loses("r1")
	did := l.took(ReleaseGone{Release: "r1"}, ReleaseGone{Release: "r1"})
	l.wants("one attempt", slices.Equal(did, []string{"Build"}))
	l.serves("r1")
	l.builds()
	l.take(Ready{N: 2})
	l.serves("r2")
	l.wants("nothing to go back to", l.s.Previous == "" && l.s.Fallback == Version{})
}

// The release that is to be started again has no files, and all there is otherwise is one that had to
// give way.
func TestBadReleaseIsTriedAgainWhereTheOneBeforeIsGone(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.loses("r1")
	l.take(Exited{N: 2, Reason: "exit code 3"})
	l.take(Exited{N: 3, Reason: "exit code 3"}) // gives way to r1, which cannot be started
	l.hears()
	l.wants("nothing to start", l.s.Proven == Version{} && l.s.RestartAt.IsZero())
	l.builds() // it comes to r2, which is there
	l.take(Ready{N: l.s.Candidate.N})
	l.serves("r2")
}

func TestReleaseThatIsGoneIsNotStartedAgain(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.take(Rollback{Release: "r1"})
	l.take(Ready{N: 3})
	l.serves("r1")
	l.loses("r1")
	l.take(ReleaseGone{Release: "r1"})
	l.builds() // it comes to r2, from which somebody went back
	l.serves("r1")
	l.wants("that r1 serves on", l.s.Candidate.N == 0)
	l.runKey = "k2"
	l.configure(false) // r1 cannot be had with it
	l.builds()
	l.wants("r2 in its place", l.s.Candidate.Version == Version{"r2", "k2"})
}

func TestFailedMigrationIsNotRepeatedWhereAReleaseIsGone(t *testing.T) {
	l := serving(t)
	l.edit()
	l.take(InputsChanged{})
	l.build.over = true
	l.take(BuildFailed{Seq: 2, Reason: "migrate", Final: true})
	l.loses("r1")
	l.wants("no attempt", len(l.took(ReleaseGone{Release: "r1"})) == 0)
}

func TestClientsOfALostNameWaitForAnotherGeneration(t *testing.T) {
	l := serving(t)
	l.lost = true
	l.wants("a candidate, and no refusal", slices.Equal(l.took(NameLost{}), []string{"Spawn"}))
	l.wants("nothing more", len(l.took(NameLost{}, ProbeFailed{N: 1}, ProbeFailed{N: 1}, ProbeFailed{N: 1})) == 0)
	l.wants("it takes over", slices.Equal(l.took(Ready{N: 2}), []string{"Swap", "Retire", "Watch", "SetTimer"}))
	l.serves("r1")
}

func TestClientsOfALostNameAreToldToComeBackWhileNothingCanBeStarted(t *testing.T) {
	l := serving(t)
	l.lost = true
	l.fails(Spawn{}, NameLost{})
	l.hears()
	l.wants("a refusal", l.refuses && l.s.Serving.N == 1)
	l.passes(time.Second)
	l.wants("clients wait for the next", !l.refuses && l.s.Candidate.N == 3)
	l.take(Ready{N: 3})
	l.serves("r1")
}

func TestDeathOfWhatServesWithoutANameIsAnsweredOnTheNewSocket(t *testing.T) {
	l := serving(t)
	l.lost = true
	l.take(NameLost{})
	l.take(Exited{N: 1, Reason: "exit code 3"})
	l.wants("it is served", l.s.Serving.N == 3 && !l.s.Lost && !l.refuses)
}
