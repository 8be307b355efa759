package actor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// Deploy is a person's wish that what is in the source now serves.
type Deploy struct {
	Entry  *config.Build // as the file has it
	NoWait bool          // Deploy returns as soon as the wish is accepted
	By     string        // who asks
}

// Deployed is what has come of it.
type Deployed struct {
	From    string        // the release that served before; "": none did
	Release string        // the one that serves
	Changed bool          // another generation serves than before: of another release, or with other run settings
	Because []string      // why the release was made, where this has made it
	Took    time.Duration // until it served
	Doubts  []string      // what may have cost a client its request; none: nothing has
}

// The server before is waited for within limits: how it ends says whether a request was lost, but a
// deploy is done when the new one serves.
const (
	mostDrain  = 30 * time.Second
	drainSpare = 2 * time.Second // after graceful_timeout, for the end of a tree that was killed
)

// Deploy has what is in the source now built, where it has changed, and returns once it serves and
// the server before has ended, or with the reason why it does not. Otherwise it is as Do.
func (a *Actor) Deploy(ctx context.Context, d Deploy, progress func(string)) (Deployed, error) {
	begun, from := time.Now(), a.View()
	mark, turned := a.losses.mark(), a.public.Turned()
	a.Configure(d.Entry, false) // its env_file may be what changed
	err := a.Do(ctx, Command{Action: "deploy", NoWait: d.NoWait, By: d.By}, progress)
	if st := a.View().State; err != nil && st.Reason() != "" && strings.HasPrefix(err.Error(), st.Reason()) && st.BuildErr == "" {
		err = fmt.Errorf("%w (%s)", err, a.logPath()) // what the server printed; that of a step names its own
	}
	if err != nil || d.NoWait {
		return Deployed{}, err
	}
	took, before, now := time.Since(begun), from.State.Serving, a.View().State.Serving
	done := Deployed{
		From: cmp.Or(before.Version.Release, from.State.Proven.Release), Release: now.Version.Release,
		Changed: now.Version != before.Version, Took: took,
	}
	if !done.Changed {
		return done, nil
	}
	if t := a.LastAttempt(); t != nil && t.Release == done.Release && !t.Started.Before(begun) {
		done.Because = t.Because
	}
	err = a.awaitDrained(ctx, now.Version, progress)
	var late *lateError
	if err != nil && !errors.As(err, &late) {
		return done, err
	}
	done.Doubts = a.losses.since(mark)
	if from.State.Refusing {
		done.Doubts = append(done.Doubts, "nothing served when it was asked for: clients were told to come back (503)")
	}
	if n := a.public.Turned() - turned; n > 0 {
		done.Doubts = append(done.Doubts, fmt.Sprintf("clients that waited were told to come back (503): %d", n))
	}
	if late != nil {
		done.Doubts = append(done.Doubts, late.Error())
	}
	return done, nil
}

// lateError says that the server before has not ended yet.
type lateError struct{ grace time.Duration }

func (e *lateError) Error() string {
	return fmt.Sprintf("the server before is still finishing its requests, for at most graceful_timeout (%v)", e.grace)
}

// awaitDrained waits until everything that version took over from has ended. The error is a
// *lateError, that of ctx, or why another one serves by then.
func (a *Actor) awaitDrained(ctx context.Context, version machine.Version, progress func(string)) error {
	grace := a.View().Entry.GracefulTimeout
	limit := time.NewTimer(min(grace+drainSpare, mostDrain))
	defer limit.Stop()
	for said := false; ; {
		changed, v := a.Changed(), a.View()
		if why, bad := v.State.Bad[version]; bad {
			return fmt.Errorf("release %s took over and gave way to %s: %s", version.Release, v.State.Release, why)
		}
		if len(v.State.Ending) == 0 && !a.public.Passing() {
			return nil
		}
		if !said && progress != nil && len(v.State.Ending) > 0 {
			said = true
			progress(fmt.Sprintf("%s: release %s serves, the server before finishes its requests", a.name, version.Release))
		}
		select {
		case <-changed:
		case <-time.After(progressEvery / 10): // what is passed on tells nobody
		case <-limit.C:
			return &lateError{grace}
		case <-a.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deployed reports whether what a deploy is for serves: the release of the newest inputs, with the
// newest run settings.
func (t *ticket) deployed(st *machine.State) (bool, error) {
	want := machine.Version{Release: st.LastBuilt, RunKey: st.RunKey}
	switch {
	case st.Building.Running || st.NeedBuild != machine.NeedNone:
		return false, nil
	case st.OpenErr != "":
		return true, fmt.Errorf("%s; it is tried again", st.OpenErr)
	case st.BuildErr != "":
		return true, errors.New(st.BuildErrAt(time.Now()))
	case st.Pinned != t.from.Pinned:
		return true, errors.New("overtaken by rollback, which was asked for later")
	case st.Candidate.N != 0, st.Retries():
		return false, nil
	case st.Serving.Version == want && st.Serving.Ready && !st.Serving.Unhealthy && !st.Lost:
		return true, nil
	case st.Release != st.LastBuilt:
		return true, keepsTo(st)
	case st.Phase() == machine.PhaseStarting:
		return false, nil
	}
	return true, reasonOf(st)
}

// keepsTo is why the release of the newest inputs does not serve although nothing has changed since
// it was made.
func keepsTo(st *machine.State) error {
	again := fmt.Sprintf("`rebuild` makes a new one of what is in the source, `rollback --to %s` serves it", st.LastBuilt)
	for v, why := range st.Bad {
		if v.Release == st.LastBuilt {
			return fmt.Errorf("nothing has changed since release %s was made, and that gave way to %s: %s; %s", st.LastBuilt, st.Release, why, again)
		}
	}
	return fmt.Errorf("nothing has changed since release %s was made, and that was rolled back to %s, which stands: %s", st.LastBuilt, st.Release, again)
}
