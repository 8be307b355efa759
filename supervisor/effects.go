package supervisor

import (
	"fmt"
	"os"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// carryOut does what the machine wants done. It answers an event where the
// effect is over at once; what takes longer posts its event later.
func (a *actor) carryOut(e machine.Effect) machine.Event {
	switch e := e.(type) {
	case machine.Open:
		return a.open()
	case machine.Refuse:
		a.refuse(e.On, e.Until)
	case machine.Withdraw:
		a.withdraw()
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
		a.startBuild(e)
	case machine.CancelBuild:
		a.stopBuild(e.Grace)
	case machine.SetTimer:
		a.setTimer(e.Kind, e.At)
	case machine.Save:
		a.sup.saver.save(a)
	case machine.Note:
		a.noted(e)
	case machine.Gone:
		a.gone()
	default:
		panic(fmt.Sprintf("supervisor: effect %T is not known", e))
	}
	return nil
}

// open makes the public socket.
func (a *actor) open() machine.Event {
	// Others must be able to reach the socket through it, nothing else.
	err := makeFolder(a.dir, 0o755, -1)
	var s *socket
	if err == nil {
		s, err = a.bind(a.socketPath)
	}
	if err != nil {
		a.log.Error("public socket cannot be made", "error", err)
		return machine.OpenFailed{Reason: err.Error()}
	}
	s.public = true
	a.public = s
	a.guardName()
	return machine.Opened{}
}

// guardName watches over the public name.
func (a *actor) guardName() {
	a.sup.guard.watch(a.dir, func() { a.post(nameTouched{}) })
}

// regain makes the public socket anew where it could not be taken back from a
// generation that was adopted, and that has ended by now.
func (a *actor) regain() error {
	if a.public != nil {
		return nil
	}
	s, err := a.bind(a.socketPath)
	if err != nil {
		return err
	}
	s.public = true
	a.public = s
	a.guardName()
	return nil
}

// withdraw takes the public name away, for a stop.
func (a *actor) withdraw() {
	s := a.public
	a.public = nil
	a.sup.guard.forget(a.dir)
	if s == nil { // never taken back from the generation that was adopted
		a.warn("remove public socket", os.Remove(a.socketPath))
		return
	}
	a.warn("remove public socket", s.l.Unlink())
	a.letGo(s)
}

// swap gives the public name to generation n. What is queued on the listener
// that loses it stays with the generation that serves it, or is passed on.
func (a *actor) swap(n int) machine.Event {
	g, ok := a.generations[n]
	if !ok {
		return machine.SwapFailed{N: n, Reason: "the generation has ended"}
	}
	if err := g.sock.l.Take(a.socketPath); err != nil {
		a.log.Error("public name cannot be exchanged", "generation", n, "error", err)
		return machine.SwapFailed{N: n, Reason: err.Error()}
	}
	reach("after", "the exchange of names")
	old := a.public // nil: it could not be taken back, and ends with its generation
	if old == nil {
		a.guardName()
	}
	a.public = g.sock.hold()
	g.sock.public = true
	a.letGo(old)
	if err := build.SetCurrent(a.sup.root, a.name, g.version.Release); err != nil {
		a.log.Warn("link to the current release is not up to date", "release", g.version.Release, "error", err)
	}
	return machine.Swapped{N: n}
}

func (a *actor) setTimer(k machine.TimerKind, at time.Time) {
	if t, ok := a.timers[k]; ok {
		t.Stop() // one that has fired already is not due in the machine's eyes
		delete(a.timers, k)
	}
	if !at.IsZero() {
		a.timers[k] = time.AfterFunc(time.Until(at), func() { a.post(machine.Timer{Kind: k}) })
	}
}

// noted tells the log and the followers of events.
func (a *actor) noted(e machine.Note) {
	pid := 0
	if g, ok := a.generations[e.N]; ok {
		pid = g.child.Pid()
	}
	args := []any{"generation", e.N, "release", e.Release}
	if pid != 0 {
		args = append(args, "pid", pid)
	}
	if e.Reason != "" {
		args = append(args, "reason", e.Reason)
	}
	switch e.Event {
	case "exited":
		a.log.Warn("generation exited", args...)
	case "candidate_failed":
		a.log.Error("candidate was not taken", args...)
	case "gave_way":
		a.log.Error("release gives way to the one before", args...)
	case "unhealthy":
		a.log.Warn("generation is unhealthy, it is replaced", args...)
	case "took_over":
		a.log.Info("generation took over", args...)
		a.forget()
		a.prune()
	case "stable":
		a.log.Debug("generation is stable", args...)
		a.prune() // what it might have given way to is not needed any more
	case "recovered":
		a.log.Info("generation serves again", args...)
	case "healthy":
		a.log.Info("generation is healthy again", args...)
	case "stopping":
		a.log.Info("build stops", args...)
	default:
		a.log.Debug("generation was "+e.Event, args...)
	}
	a.sup.events.add(control.Event{Time: time.Now(), Build: a.name, Event: e.Event, Release: e.Release, Pid: pid, Reason: e.Reason})
	a.callHook(e.Event, e.Release, e.Reason)
}

// gone closes what the machine has let go of.
func (a *actor) gone() {
	for k := range a.timers {
		a.setTimer(k, time.Time{})
	}
	a.endHooks() // one that hangs holds up no stop
	a.log.Info("build has stopped")
	a.sup.events.add(control.Event{Time: time.Now(), Build: a.name, Event: "stopped"})
}
