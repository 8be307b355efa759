package machine

import (
	"fmt"
	"slices"
	"time"
)

// Step returns the state that follows s when e happens at now, and the effects to carry out, in
// order. It never fails: an event about a generation or build that the state does not know (any
// more) changes nothing.
func Step(s State, e Event, now time.Time) (State, []Effect) {
	if s.Dead {
		return s, nil
	}
	t := &turn{State: s, now: now}
	t.happened(e)
	t.settle()
	if t.changed || len(t.effects) > 0 {
		t.do(Save{})
	}
	if t.Dead {
		t.do(Gone{})
	}
	return t.State, t.effects
}

// turn is one step under way: first the event changes the state, then settle compares the actual
// state with the desired one.
type turn struct {
	State
	now     time.Time
	effects []Effect
	changed bool
}

func (t *turn) do(e Effect) { t.effects = append(t.effects, e) }

func (t *turn) note(event EventName, g Generation, reason string) {
	t.do(Note{Event: event, N: g.N, Release: g.Version.Release, Reason: reason})
}

func (t *turn) happened(e Event) {
	t.changed = true
	switch e := e.(type) {
	case Configured:
		t.configured(e)
	case Adopted:
		t.adopted(e)
	case AdoptedBeside:
		t.adoptedBeside(e)
	case AdoptedProcess:
		t.adoptedProcess(e)
	case InputsChanged:
		t.need(NeedCheck)
	case Removed:
		t.leave(WantRemoved)
	case Shutdown:
		t.leave(WantShutdown)
		t.Held = e.Held
	case Start:
		t.start()
	case Stop:
		t.stop()
	case RestartNow:
		t.restartNow()
	case Rebuild:
		t.rebuild(e)
	case Deploy:
		t.need(NeedCheck)
		t.tryAgain()
	case Rollback:
		t.rollback(e.Release)
	case BuildCommitted:
		if t.Building.Running && t.Building.Seq == e.Seq {
			t.Building.Committed = true
			t.Building.Cancelling = false // a cancel that crossed with this came too late
		}
	case BuildDone:
		t.buildDone(e)
	case BuildFailed:
		t.buildFailed(e)
	case Opened:
		t.Opening, t.Open, t.OpenErr = false, true, ""
	case OpenFailed:
		t.openFailed(e.Reason)
	case Spawned:
		t.spawned(e)
	case SpawnFailed:
		t.spawnFailed(e)
	case Ready:
		t.ready(e.N)
	case ProofFailed:
		t.proofFailed(e)
	case Swapped:
		t.swapped(e.N)
	case SwapFailed:
		t.swapFailed(e)
	case Exited:
		t.exited(e)
	case Ended:
		t.Ending = slices.DeleteFunc(slices.Clone(t.Ending), func(n int) bool { return n == e.N })
	case ReleaseGone:
		t.releaseGone(e.Release)
	case NameLost:
		t.nameLost()
	case ProbeOK:
		t.probeOK(e.N)
	case ProbeFailed:
		t.probeFailed(e)
	case Timer:
		t.timer(e.Kind)
	default:
		panic(fmt.Sprintf("machine: unknown event %T", e))
	}
}

// Timers. One that was set again in the meantime is not due yet.

func (t *turn) timer(k TimerKind) {
	t.changed = false
	switch {
	case k == TimerRestart && t.due(t.RestartAt):
		t.RestartAt = time.Time{}
	case k == TimerCandidate && t.due(t.CandidateAt):
		t.CandidateAt = time.Time{}
	case k == TimerBuild && t.due(t.BuildAt):
		t.BuildAt = time.Time{}
		t.need(NeedCheck)
	case k == TimerOpen && t.due(t.OpenAt):
		t.OpenAt = time.Time{}
	case k == TimerMembers && t.due(t.MembersAt):
		t.MembersAt = time.Time{}
		t.membersDue()
	case k == TimerStable && t.due(t.StableAt) && t.Serving.Misses == 0:
		t.StableAt = time.Time{}
		if t.unsettled() {
			t.stableAt(t.now.Add(t.Policy.StableAfter))
			return
		}
		t.Failures, t.Serving.Deaths = 0, 0
		t.Fallback = Version{}
		t.Trouble = ""
		t.note(EventStable, t.Serving, "")
	}
}

func (t *turn) due(at time.Time) bool { return !at.IsZero() && !t.now.Before(at) }
