package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/handover"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// AcceptCommand is the command by which a new binary is asked whether it could take over: it prints
// what Accept returns as JSON, or fails.
const AcceptCommand = world.AcceptCommand

// Accept checks that this program could take over the supervision of cfg. The error says why not: a
// later version wrote the state.
func Accept(cfg *config.Config, version string) (world.Acceptance, error) {
	_, err := state.Understood(layout.Root(cfg.Root).State())
	return world.Acceptance{Version: version, Handover: handover.Newest, Root: cfg.Root}, err
}

// upgrade is whether this program is being replaced, and which touched files were set aside in the
// meantime. The zero upgrade means that it is not.
type upgrade struct {
	under   atomic.Bool
	touched []string // only for the supervisor's own goroutine
}

// misses keeps what was touched while an upgrade is under way; it returns false if none is.
func (u *upgrade) misses(ids []string) bool {
	if !u.under.Load() {
		return false
	}
	u.touched = append(u.touched, ids...)
	return true
}

// missed returns what was touched during an upgrade that has ended.
func (u *upgrade) missed() []string {
	if u.touched == nil || u.under.Load() {
		return nil
	}
	ids := u.touched
	u.touched = nil
	return ids
}

var errUnwritten = errors.New("upgrade: the state cannot be written, see the log")

var errUpgrading = errors.New("an upgrade is under way: try again in a moment")

const (
	acceptLimit  = 30 * time.Second       // for a new binary to say whether it accepts
	upgradeLimit = 30 * time.Minute       // for what must not be interrupted: at most a migration
	upgradePoll  = 100 * time.Millisecond // between two looks at whether it is over
	flushLimit   = 500 * time.Millisecond // for the disk, while everything stands still
)

// Upgrade executes the program now at our path in our place, with our pid, children and listeners.
// It returns only if that fails, and then everything is as before. It waits for a migration and for
// clients that are being passed on; any other attempt begins again.
func (s *Supervisor) Upgrade(ctx context.Context, progress func(string)) error {
	if !s.upgrade.under.CompareAndSwap(false, true) {
		return errUpgrading
	}
	s.asked(ctx, "upgrade")
	open := s.shared.Gate.Close()
	defer func() {
		open()
		s.upgrade.under.Store(false)
		// makes run look at what was missed; fails only when the supervisor has ended
		_ = s.do(context.Background(), func() {})
	}()
	ctx, cancel := context.WithTimeout(ctx, upgradeLimit)
	defer cancel()
	asking, done := context.WithTimeout(ctx, acceptLimit)
	next, err := s.world.Upgrader.Ask(asking)
	done()
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	progress(next.Version + " accepts the file and the state")
	told := progressOf(progress)
	for {
		err := s.tryUpgrade(ctx, next)
		var busy *busyError
		if !errors.As(err, &busy) {
			return err
		}
		told(err)
		select {
		case <-time.After(upgradePoll):
		case <-ctx.Done():
			return fmt.Errorf("upgrade: still %w", err)
		}
	}
}

// tryUpgrade executes the successor, or returns a *busyError if that has to wait.
func (s *Supervisor) tryUpgrade(ctx context.Context, next world.Acceptance) error {
	// First without stopping anything, so that no client waits for something that takes long.
	if !s.saver.Flush(savePatience) {
		return errUnwritten
	}
	s.world.Events.Await(savePatience)
	release, err := s.holdAll()
	if err != nil {
		return err
	}
	release()
	goOn, err := s.frontend.halt(ctx)
	defer goOn()
	if err != nil {
		return fmt.Errorf("upgrade: requests of the front, the dashboard or the metrics under way: %w", err)
	}
	var failed error
	err = s.do(ctx, func() { failed = s.execute(next) })
	return errors.Join(err, failed)
}

// execute is the last part, on the supervisor's own goroutine: nothing changes any more, and the
// successor begins.
func (s *Supervisor) execute(next world.Acceptance) error {
	if s.fleet.Load().leaving || len(s.Signals) > 0 {
		return errors.New("upgrade: the supervisor was told something else in the meantime")
	}
	release, err := s.holdAll()
	if err != nil {
		return err
	}
	defer release()
	all := s.fleet.Load().all()
	var answered []<-chan struct{}
	for _, a := range all {
		over, resume := a.Quiet()
		defer resume()
		answered = append(answered, over)
	}
	for _, over := range answered {
		<-over
	}
	if !s.saver.Flush(flushLimit) {
		return errUnwritten
	}
	s.world.Events.Await(flushLimit)
	going := world.Succession{Next: next, Sockets: map[string][]public.Listener{}}
	places, closePlaces, err := s.frontend.sockets()
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	defer closePlaces()
	going.Places = places
	for _, a := range all {
		going.Sockets[a.Name()] = a.Sockets()
	}
	if err := s.world.Upgrader.Execute(going); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

// busyError says what an exec would lose now. It resolves without action.
type busyError struct{ what string }

func (e *busyError) Error() string { return "waiting: " + e.what }

// holdAll makes every actor stand still, until release is called. The error is a *busyError if
// something is under way: then none does.
func (s *Supervisor) holdAll() (release func(), err error) {
	all := s.fleet.Load().all()
	resume := make(chan struct{})
	release = sync.OnceFunc(func() { close(resume) })
	busy := make([]<-chan string, len(all))
	for i, a := range all {
		busy[i] = a.Pause(resume)
	}
	for i, a := range all {
		if why := standsStill(a, busy[i]); why != "" {
			err = &busyError{why}
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// standsStill waits until an actor stands still, or returns why it does not.
func standsStill(a *actor.Actor, busy <-chan string) string {
	select {
	case why := <-busy:
		return why
	case <-a.Done(): // it is about to be removed from the fleet
		return a.Name() + " is stopping"
	}
}

// progressOf reports each thing that is waited for once.
func progressOf(say func(string)) func(error) {
	last := ""
	return func(err error) {
		if text := fmt.Sprint(err); text != last {
			last = text
			say(text)
		}
	}
}
