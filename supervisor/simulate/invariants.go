package simulate

import (
	"fmt"
	"slices"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// leaver is a generation that was told to end.
type leaver struct {
	build string
	n     int
}

// stepped holds the machine's invariants at each step that a build takes. Those that only the
// events tell of are held by the machine's own tests.
func (inc *incarnation) stepped(name string, s actor.Step) {
	if !inc.lock() {
		return
	}
	defer inc.w.mu.Unlock()
	c := checked{Step: s, leaving: inc.leaving, name: name, breaks: func(what string) {
		inc.w.breaks(name, "a step keeps the machine's invariants", "%T: %s", s.Event, what)
	}}
	c.state()
	for i, f := range s.Effects {
		c.effect(i, f)
	}
}

// checked is a step that is looked at.
type checked struct {
	actor.Step
	name    string
	leaving map[leaver]bool
	breaks  func(what string)
}

func (c *checked) require(holds bool, format string, args ...any) {
	if !holds {
		c.breaks(fmt.Sprintf(format, args...))
	}
}

// state holds what is so after each step.
func (c *checked) state() {
	s := c.After
	c.require(s.Serving.N == 0 || s.Serving.Version == s.Proven, "what serves has not passed its check")
	c.require(s.Previous == "" || s.Previous != s.Proven.Release, "the release before is the same")
	c.require(s.Fallback.Release == "" || s.Fallback.Release != s.Proven.Release, "it would give way to itself")
	c.require(s.Candidate.N == 0 || s.Candidate.N != s.Serving.N, "what serves is a candidate")
	c.require(s.Gone == "" || s.Serving.Version.Release == s.Gone, "%s is said to be gone, and %s serves", s.Gone, s.Serving.Version.Release)
	c.require(s.Spawned >= c.Before.Spawned && s.Builds >= c.Before.Builds, "numbers go back")
	n := len(c.Effects)
	saved := n == 0 || c.Effects[n-1] == machine.Effect(machine.Save{})
	c.require(saved || s.Dead, "a step that is not saved")
	c.require(!c.Before.Dead || n == 0, "effects after the end")
	switch s.Want {
	case machine.WantUnknown:
	case machine.WantServe:
		if s.Open && !s.Swapping {
			nobody := s.Serving.N == 0 || s.Lost && s.Candidate.N == 0
			c.require(s.Refusing == nobody, "clients hang, or are refused while generation %d serves", s.Serving.N)
		}
	default:
		c.require(!s.Open && s.Serving.N == 0 && s.Candidate.N == 0, "it serves while %q", s.Want)
		c.require(!s.Building.Running || s.Building.Cancelling, "it builds while %q", s.Want)
	}
}

// effect holds what each effect needs.
func (c *checked) effect(i int, f machine.Effect) {
	s := c.After
	ends := func(n int) {
		c.require(n > 0 && n <= s.Spawned, "generation %d was never started", n)
		c.require(!c.leaving[leaver{c.name, n}], "generation %d is told to end twice", n)
		c.leaving[leaver{c.name, n}] = true
	}
	switch f := f.(type) {
	case machine.Spawn:
		delete(c.leaving, leaver{c.name, f.N}) // the numbers begin again where a build comes back
		c.require(s.Want == machine.WantServe, "generation %d starts while %q", f.N, s.Want)
		c.require(f.N > c.Before.Spawned && f.N <= s.Spawned, "generation %d after %d", f.N, c.Before.Spawned)
		c.require(f.Version.Release != "" && f.Version.Release != s.Gone, "release %q starts, which is gone", f.Version.Release)
		switch {
		case f.Process != "":
			c.require(f.Version.Release == s.Proven.Release, "%s starts of release %s, and %s served last", f.Process, f.Version.Release, s.Proven.Release)
		case f.With != 0:
			c.require(s.Candidate.N == f.With && f.Version == s.Candidate.Version, "generation %d starts beside %d, which is no candidate", f.N, f.With)
		case f.Public:
			c.require(f.Version == s.Proven && s.Open && !s.Refusing, "%v starts on the public socket", f.Version)
			c.require(s.RestartAt.IsZero() && s.Halted == "", "it starts before its time")
		default:
			c.require(s.CandidateAt.IsZero(), "a candidate starts before its time")
			c.require(c.Before.Candidate.N == 0 || c.leaving[leaver{c.name, c.Before.Candidate.N}] || c.Before.Candidate.N == s.Serving.N, "two candidates")
		}
	case machine.Swap:
		c.require(f.N == s.Candidate.N && s.Candidate.Ready && !slices.ContainsFunc(s.Candidate.Beside, func(m machine.Member) bool { return !m.Ready }) && s.Open, "generation %d gets the name without a check", f.N)
	case machine.Watch:
		c.require(s.Serving.Owns(f.N) || s.Want != machine.WantServe, "generation %d is probed, and %d serves", f.N, s.Serving.N)
	case machine.Retire:
		ends(f.N)
	case machine.End:
		ends(f.N)
	case machine.Build:
		c.require(!c.Before.Building.Running || c.After.Building.Seq != c.Before.Building.Seq, "two attempts at once")
		c.require(s.Want == machine.WantServe && f.Seq == s.Builds, "attempt %d while %q", f.Seq, s.Want)
	case machine.SetTimer:
		c.require(f.At.IsZero() || !f.At.Before(c.At), "a timer in the past")
	case machine.Save:
		c.require(i == len(c.Effects)-1 || i == len(c.Effects)-2 && s.Dead, "not everything is saved")
	case machine.Gone:
		c.require(s.Dead && i == len(c.Effects)-1, "something comes after the end")
	}
}
