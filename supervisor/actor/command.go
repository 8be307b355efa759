package actor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// ErrNoAction is wrapped by the error of Do for an unknown action.
var ErrNoAction = errors.New("no such action")

// Command is what a person asks for.
type Command struct {
	Action string // start, stop, restart, rebuild, rollback or deploy
	To     string // of rollback: the release, or the beginning of its name; "" is the one before
	Fresh  bool   // of rebuild: with a new environment
	NoWait bool   // Do returns as soon as the command is accepted
	By     string // who asks
}

// String is the command as it is typed.
func (c Command) String() string {
	text := c.Action
	if c.To != "" {
		text += " --to " + c.To
	}
	if c.Fresh {
		text += " --fresh"
	}
	return text
}

// Outcome is what has come of a command beside its result.
type Outcome struct {
	Already  bool   // the result held before: nothing was done
	From, To string // of rollback: the release that served, "" for none, and the one that serves now
}

// ticket is a command under way.
type ticket struct {
	Command
	// closed when the machine knows of the command; what follows is set by then
	handled chan struct{}
	from    *machine.State
	at      time.Time
	refused error  // why nothing was asked of the machine
	held    bool   // the wished result held already
	before  string // of rollback: the release that served
}

// waitsForTurn is what a build is doing that is to be built, after its name.
const waitsForTurn = ": waiting for its turn to be built"

// progressEvery is how often a draining queue is looked at.
const progressEvery = time.Second

// Do carries out a command and returns nil once its result holds, or the reason why it does not:
// among these that another command overtook it, that the build left the file, or that the
// supervisor is stopping. When ctx ends, Do returns its error and the command goes on. progress,
// which may be nil, is told what the build is doing.
func (a *Actor) Do(ctx context.Context, c Command, progress func(string)) error {
	_, err := a.Act(ctx, c, progress)
	return err
}

// Act is Do, and says more of what has come of the command.
func (a *Actor) Act(ctx context.Context, c Command, progress func(string)) (Outcome, error) {
	t := &ticket{Command: c, handled: make(chan struct{})}
	a.post(asked{t})
	select {
	case <-t.handled:
	case <-a.done:
		return Outcome{}, a.leaves(c)
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
	err := t.refused
	if err == nil && !c.NoWait {
		err = a.await(ctx, t, progress)
	}
	if err != nil {
		return Outcome{}, err
	}
	return t.outcome(), nil
}

// outcome is what there is to say of a command that was accepted.
func (t *ticket) outcome() Outcome {
	o := Outcome{Already: t.held}
	if t.Action == "rollback" {
		o.From, o.To = t.before, t.To
	}
	return o
}

// await returns once what t wishes holds, or cannot.
func (a *Actor) await(ctx context.Context, t *ticket, progress func(string)) error {
	said, steps := "", stepLines{}
	for {
		changed, v := a.Changed(), a.View()
		if progress != nil {
			for _, line := range steps.more(a, t) {
				said = line
				progress(line)
			}
		}
		if over, err := t.over(v); over {
			return err
		}
		now := a.progressLine(v)
		if p := a.Progress(); p != nil && p.Of > 0 && steps.tell(a, t) {
			now = "" // each step is told of, in its turn
		}
		if t.Action == "deploy" && now == a.name+waitsForTurn && time.Since(t.at) < progressEvery {
			now = "" // first it looks at its inputs, which may be all there is to do
		}
		if now != said && now != "" && progress != nil {
			said = now
			progress(now)
		}
		select {
		case <-changed:
		case <-time.After(progressEvery):
		case <-a.done:
			if over, err := t.over(a.View()); over {
				return err
			}
			return a.leaves(t.Command)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leaves returns the result of a command that comes when the build has ended for good, or is about
// to.
func (a *Actor) leaves(c Command) error {
	st := a.View().State
	switch {
	case st.Want == machine.WantShutdown && st.Before != machine.WantRemoved:
		if c.Action == "stop" && (st.Before == machine.WantStopped || !st.Dead) && !st.Held {
			return nil
		}
		return errStops // also of a stop that comes too late to be written down, or while the next supervisor is to go on
	case c.Action == "stop":
		return nil
	}
	return errRemoved
}

// Why nothing that was asked for of a build comes true any more.
var (
	errStops   = errors.New("the supervisor stops")
	errRemoved = errors.New("the build was taken out of the file")
)

// commands are what people have asked for.
type commands struct {
	last  string    // the last one that the machine knows of
	by    string    // who asked for it, until its result is known
	early []*ticket // came before the build's entry, which they need
}

// accept lets the machine know of a command, once it knows the build's entry.
func (a *Actor) accept(t *ticket) {
	a.asked.early = append(a.asked.early, t)
	a.askEarly()
}

// askEarly lets the machine know of the commands that came before the build's entry, as soon as
// that is known or will not come any more.
func (a *Actor) askEarly() {
	leaves := a.state.Want == machine.WantRemoved || a.state.Want == machine.WantShutdown
	if a.state.RunKey == "" && !leaves {
		return
	}
	early := a.asked.early
	a.asked.early = nil
	for _, t := range early {
		a.ask(t)
	}
}

// ask lets the machine know of a command.
func (a *Actor) ask(t *ticket) {
	defer close(t.handled)
	t.from, t.at = a.state, time.Now()
	leaves := a.state.Want == machine.WantRemoved || a.state.Want == machine.WantShutdown
	if leaves && (t.Action != "stop" || a.state.Dead || a.state.Held) {
		t.refused = a.leaves(t.Command)
		return
	}
	var event machine.Event
	switch t.Action {
	case "start":
		event, t.held = machine.Start{}, a.state.Phase() == machine.PhaseRunning
	case "stop":
		event, t.held = machine.Stop{}, a.state.Want == machine.WantStopped && a.state.Phase() == machine.PhaseStopped && len(a.View().tasks) == 0
	case "restart":
		event = machine.RestartNow{}
	case "rebuild":
		event = machine.Rebuild{Fresh: t.Fresh}
	case "rollback":
		t.before = a.state.Serving.Version.Release
		t.To, t.refused = a.rollbackTo(t.To)
		event = machine.Rollback{Release: t.To}
	case "deploy":
		event = machine.Deploy{}
		if p := a.state.Phase(); p == machine.PhaseStopped || p == machine.PhaseStopping {
			t.refused = fmt.Errorf("the build is %s: `start %s` builds what is in the source and serves it", p, a.name)
		}
	default:
		t.refused = fmt.Errorf("%w: %q", ErrNoAction, t.Action)
	}
	if t.refused == nil {
		a.asked.last, a.asked.by = t.Action, t.By
		a.event(machine.EventAsked, t.To, t.String())
		a.turn(event)
	}
}

// cause returns who caused an event: who asked for the command that it is a part or the result of.
func (a *Actor) cause(event machine.EventName) string {
	by := a.asked.by
	switch event {
	case machine.EventAsked, machine.EventStopping, machine.EventBuilt, machine.EventProved:
	case machine.EventTookOver, machine.EventStopped, machine.EventBuildFailed, machine.EventCandidateFailed:
		a.asked.by = "" // what comes next is no one's doing
	case machine.EventRecovered:
		if a.asked.last != "start" {
			return "" // from a crash
		}
		a.asked.by = ""
	default:
		return ""
	}
	return by
}

// over reports whether the command is over: its result holds (nil), or cannot (the reason).
func (t *ticket) over(v *View) (bool, error) {
	st := v.State
	switch {
	case t.Action == "start" && (t.held || st.Phase() == machine.PhaseRunning):
		return true, nil
	case st.Want == machine.WantRemoved && t.Action != "stop":
		return true, errRemoved
	case st.Want == machine.WantShutdown && (t.Action != "stop" || st.Held):
		return true, errStops
	case t.Action == "stop" && st.Want == machine.WantServe:
		return true, fmt.Errorf("overtaken by %s, which was asked for later: the build is %s", v.Asked, st.Phase())
	case t.Action == "stop":
		return st.Phase() == machine.PhaseStopped && len(v.tasks) == 0, nil
	case st.Want == machine.WantStopped && t.from.Want == machine.WantStopped && t.Action != "start" && t.Action != "restart":
		if t.Action == "rollback" && st.Release == t.To {
			return true, fmt.Errorf("the build is stopped: release %s is chosen, and `start` serves it", t.To)
		}
		return true, fmt.Errorf("the build is stopped: `start` serves it")
	case st.Want == machine.WantStopped:
		return true, fmt.Errorf("overtaken by %s, which was asked for later", v.Asked)
	case t.Action == "rollback" && st.Release != t.To:
		return true, otherRelease(st, t.To)
	case t.Action == "deploy":
		return t.deployed(st)
	}
	return t.served(st)
}

// otherRelease is why a release does not serve that a command was to bring.
func otherRelease(st *machine.State, release string) error {
	for v, why := range st.Bad {
		if v.Release == release {
			return fmt.Errorf("release %s gave way to %s: %s", release, st.Release, why)
		}
	}
	return fmt.Errorf("overtaken: release %s is to serve now", st.Release)
}

// served reports whether a generation that was begun for the command is serving.
func (t *ticket) served(st *machine.State) (bool, error) {
	attempts := t.Action == "start" || t.Action == "rebuild" || t.from.Release == ""
	switch p := st.Phase(); {
	case attempts && (st.Building.Running || st.NeedBuild != machine.NeedNone):
		return false, nil
	case st.OpenErr != "":
		return true, fmt.Errorf("%s; it is tried again", st.OpenErr)
	case t.Action == "rebuild" && st.BuildErr != "":
		return true, errors.New(st.BuildErrAt(time.Now())) // whatever has come up meanwhile
	case t.Action == "rebuild" && st.Pinned > t.from.Pinned:
		return true, errors.New("overtaken by rollback, which was asked for later")
	case st.Candidate.N != 0, st.Retries():
		return false, nil
	case t.Action == "rebuild" && st.BuildErr != "":
		return true, errors.New(st.BuildErrAt(time.Now())) // whatever was started again meanwhile is nothing new
	case t.Action == "rebuild" && st.Release != st.LastBuilt:
		return true, otherRelease(st, st.LastBuilt)
	case t.Action == "rollback" && t.from.Candidate.Version.Release == t.To && st.Serving.Ready && st.Serving.Version.Release == t.To:
		return true, nil // somebody else had asked for it already
	case st.Serving.N > t.from.Spawned && st.Serving.Ready && st.Serving.Version.Release == st.Release:
		return true, nil
	case st.Building.Running || st.NeedBuild != machine.NeedNone, p == machine.PhaseStarting:
		return false, nil
	case st.BuildErr != "":
		return true, errors.New(st.BuildErrAt(time.Now()))
	case p == machine.PhaseBackoff || p == machine.PhaseFailed || p == machine.PhaseStopped ||
		p == machine.PhaseRunning || p == machine.PhaseUnhealthy:
		return true, reasonOf(st)
	}
	return false, nil
}

func reasonOf(st *machine.State) error {
	if r := st.ReasonAt(time.Now()); r != "" {
		return errors.New(r)
	}
	return fmt.Errorf("the build is %s", st.Phase())
}

// stepLines are the lines about the attempts that are made for a command: why, and each step, however
// short.
type stepLines struct {
	of   time.Time // when the attempt began that is told of
	told int       // how many of its steps were
	why  bool      // was told
}

// tell reports whether an attempt was begun for the command.
func (*stepLines) tell(a *Actor, t *ticket) bool {
	last := a.LastAttempt()
	return last != nil && !last.Started.Before(t.at)
}

// more returns those that are new.
func (s *stepLines) more(a *Actor, t *ticket) (lines []string) {
	if !s.tell(a, t) {
		return nil
	}
	last := a.LastAttempt()
	if last == nil {
		return nil // it has changed nothing, and is over
	}
	if !last.Started.Equal(s.of) {
		*s = stepLines{of: last.Started}
	}
	if !s.why && len(last.Because) > 0 {
		s.why = true
		lines = append(lines, fmt.Sprintf("%s: building: %s", a.name, strings.Join(last.Because, ", ")))
	}
	for _, words := range last.begun[s.told:] {
		lines = append(lines, a.name+": "+words)
	}
	s.told = len(last.begun)
	return lines
}

// progressLine says in a few words what a build is doing, "" if nothing.
func (a *Actor) progressLine(v *View) string {
	if p := a.Progress(); p != nil && p.Of == 0 {
		return a.name + ": " + p.Step
	} else if p != nil {
		return a.name + ": " + stepWords(p.Progress)
	}
	st := v.State
	switch {
	case st.Candidate.N != 0:
		return fmt.Sprintf("%s: checking release %s", a.name, st.Candidate.Version.Release)
	case st.Retries():
		return fmt.Sprintf("%s: release %s failed its check, and is checked once more", a.name, st.Release)
	case st.Building.Running:
		return a.name + waitsForTurn
	case len(st.Ending) > 0 && st.Serving.N == 0:
		return a.name + ": draining" + waiting(v)
	}
	switch p := st.Phase(); p {
	case machine.PhaseStarting, machine.PhaseStopping, machine.PhaseBackoff:
		return fmt.Sprintf("%s: %s", a.name, p)
	}
	return ""
}

// waiting says how many clients a draining queue still holds.
func waiting(v *View) string {
	if v.Drains == nil {
		return ""
	}
	n, err := v.Drains.QueueLen()
	if err != nil || n == 0 {
		return "" // it is closed, or cannot be seen
	}
	return fmt.Sprintf(", %d requests waiting", n)
}
