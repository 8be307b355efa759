package actor

import (
	"fmt"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// carryOut does what the machine wants done. It returns an event if the effect completes at once;
// one that takes longer posts its event later.
func (a *Actor) carryOut(e machine.Effect) machine.Event {
	switch e := e.(type) {
	case machine.Open:
		return a.open()
	case machine.Refuse:
		if e.On {
			a.losses.add("for a while nothing served: clients were told to come back (503)")
		}
		if err := a.public.Refuse(e.On, e.Until); err != nil {
			a.log.Error("clients cannot be told to come back, there is no public socket", "error", err)
		}
	case machine.Withdraw:
		a.warn("remove the public socket", a.public.Withdraw())
	case machine.Leave:
		a.public.Leave()
	case machine.Spawn:
		return a.spawn(e)
	case machine.Swap:
		return a.swap(e.N)
	case machine.Retire:
		a.retire(e.N, e.Hung)
	case machine.End:
		a.end(e.N)
	case machine.Watch:
		if g, ok := a.generations[e.N]; ok {
			a.watch(g)
		}
	case machine.Build:
		a.startAttempt(e)
	case machine.CancelBuild:
		a.attempt.cancel(e.Grace)
	case machine.SetTimer:
		a.setTimer(e.Kind, e.At)
	case machine.Save:
		a.save()
	case machine.Note:
		a.noted(e)
	case machine.Gone:
		a.gone()
	default:
		panic(fmt.Sprintf("actor: unknown effect %T", e))
	}
	return nil
}

// open makes the public socket.
func (a *Actor) open() machine.Event {
	if err := a.public.Open(); err != nil {
		a.log.Error("public socket cannot be made", "error", err)
		return machine.OpenFailed{Reason: err.Error()}
	}
	return machine.Opened{}
}

// swap gives the public name to generation n. What is queued on the listener that loses it stays
// with the generation that serves it, or is passed on.
func (a *Actor) swap(n int) machine.Event {
	g, ok := a.generations[n]
	if !ok {
		return machine.SwapFailed{N: n, Reason: "the generation has ended"}
	}
	a.staticsBefore(n, g.version.Release)
	if err := a.public.Give(g.sock); err != nil {
		a.log.Error("public name cannot be exchanged", "generation", n, "error", err)
		return machine.SwapFailed{N: n, Reason: err.Error()}
	}
	a.Reach("after", "the exchange of names")
	a.post(folderTouched{}) // its release may have been removed while it was being checked
	return machine.Swapped{N: n}
}

// timer is one that the machine has set. It is kept only until it is due.
type timer struct {
	kind machine.TimerKind
	runs *time.Timer
}

func (a *Actor) setTimer(k machine.TimerKind, at time.Time) {
	if i := slices.IndexFunc(a.timers, func(t *timer) bool { return t.kind == k }); i >= 0 {
		a.timers[i].runs.Stop() // the machine ignores one that has fired already
		a.timers = slices.Delete(a.timers, i, i+1)
	}
	if !at.IsZero() {
		t := &timer{kind: k}
		t.runs = time.AfterFunc(at.Sub(a.Ports.Host.Now()), func() { a.post(timerFired{t}) })
		a.timers = append(a.timers, t)
	}
}

// fired tells the machine that a timer is due.
func (a *Actor) fired(t *timer) {
	a.timers = slices.DeleteFunc(a.timers, func(one *timer) bool { return one == t })
	a.happened(machine.Timer{Kind: t.kind})
	a.askEarly()
}

// noted writes to the log and tells the followers of events.
func (a *Actor) noted(e machine.Note) {
	pid := 0
	if g, ok := a.generations[e.N]; ok {
		pid = g.tree.Pid()
	}
	args := []any{"generation", e.N, "release", e.Release}
	if pid != 0 {
		args = append(args, "pid", pid)
	}
	if e.Reason != "" {
		args = append(args, "reason", e.Reason)
	}
	switch e.Event {
	case machine.EventExited:
		a.log.Warn("generation exited", args...)
		a.losses.add("the server exited, with the requests that it had accepted: " + e.Reason)
	case machine.EventCandidateFailed:
		a.log.Error("candidate failed its check, what served before serves on", args...)
		a.task(a.owning(a.Kept()...)) // of the data
		a.history.statics.live = 0    // what was prepared for it is removed
	case machine.EventReplicaFailed:
		a.log.Warn("server tree is replaced, others serve its clients", args...)
		a.losses.add("a server tree ended or hung, with the requests that it had accepted: " + e.Reason)
	case machine.EventProcessExited:
		a.log.Warn("process exited", args...)
	case machine.EventReplicaReady:
		a.log.Info("server tree serves beside the others", args...)
	case machine.EventProcessReady:
		a.log.Info("process is up", args...)
	case machine.EventGaveWay:
		a.log.Error("release gives way to the one before", args...)
	case machine.EventUnhealthy:
		a.log.Warn("generation is unhealthy, replacing it", args...)
	case machine.EventTookOver:
		a.log.Info("generation took over", args...)
		a.forget()
		a.prune()
	case machine.EventStable:
		a.log.Debug("generation is stable", args...)
		a.prune() // what it might have given way to is no longer needed
	case machine.EventRecovered:
		a.log.Info("generation is serving again", args...)
	case machine.EventHealthy:
		a.log.Info("generation is healthy again", args...)
	case machine.EventStopping:
		a.log.Info("build is stopping", args...)
	default:
		a.log.Debug("generation was "+string(e.Event), args...)
	}
	a.Ports.Reports.Event(Event{Time: a.Ports.Host.Now(), Build: a.name, Event: string(e.Event), Release: e.Release, Pid: pid, Reason: e.Reason, By: a.cause(e.Event)})
	a.callHook(e)
}

// gone closes what the machine has let go of.
func (a *Actor) gone() {
	for _, t := range a.timers {
		t.runs.Stop()
	}
	a.timers = nil
	if again := a.history.statics.again; again != nil {
		again.Stop()
	}
	a.schedules.stop()
	a.hooks.life.end() // a hook that hangs does not delay a stop
	if a.public.Socket() == nil {
		// Of a generation of an earlier run whose socket could not be taken back, and that has ended
		// before the machine knew of a name: it leads nowhere.
		a.warn("remove the public socket", a.public.Withdraw())
	}
	if a.together.of != (config.Limits{}) {
		a.warn("forget its limits", a.Ports.Trees.Bound(a.name, config.Limits{}, false))
	}
	a.log.Info("build has stopped")
	a.event(machine.EventStopped, "", "")
}
