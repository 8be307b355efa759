package actor

import (
	"context"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// statics has the folder of a build's static files hold those of the release that serves. They
// never decide about the release: whatever goes wrong with them is told, shown and tried again.
type statics struct {
	live  int           // the generation whose files were published last; 0: not known
	under chan struct{} // closed when the publication under way has ended; nil: there is none
	why   string        // the last one failed; "": it did not
	tries int           // failed ones in a row
	again *time.Timer   // until the next try; nil: not waiting
	kept  int           // releases there were when it was last looked at
}

const (
	// staticsWait is how long an exchange of names waits for static files that were prepared. It takes
	// them a system call.
	staticsWait = 250 * time.Millisecond
	// stageWait is how long a candidate that has passed its check waits for its static files to be
	// prepared.
	stageWait = 15 * time.Second
	// How soon a publication that failed is tried again.
	staticsAgainFirst = 2 * time.Second
	staticsAgainLast  = 5 * time.Minute
)

// stageStatics prepares the static files of a candidate while it is being checked. The channel is
// closed when that is done, or has failed: then PublishStatics says why. It is nil where there is
// nothing to prepare.
func (a *Actor) stageStatics(g *generation) <-chan struct{} {
	if !a.entry.CollectStatic {
		return nil
	}
	staged := make(chan struct{})
	entry := a.entry
	a.during(&g.life, func(ctx context.Context) {
		defer close(staged)
		if !a.begun(ctx) {
			return
		}
		if err := a.Ports.Releases.StageStatics(ctx, entry, g.version.Release); err != nil && ctx.Err() == nil {
			a.log.Warn("static files cannot be prepared", "release", g.version.Release, "error", err)
		}
		a.Reach("after", "static files are prepared")
	})
	return staged
}

// keepStatics publishes the static files of what serves, where that was not done yet.
func (a *Actor) keepStatics() {
	s, serving := &a.history.statics, a.state.Serving
	if !a.entry.CollectStatic {
		s.why = "" // the folder is somebody else's from now on
		return
	}
	if serving.N == 0 || serving.N == s.live || s.under != nil || s.again != nil || a.state.Want != machine.WantServe {
		return
	}
	a.publishStatics(serving.N, serving.Version.Release)
}

// publishStatics publishes those of generation n concurrently.
func (a *Actor) publishStatics(n int, release string) {
	s := &a.history.statics
	s.live = 0
	if s.again != nil {
		s.again.Stop()
		s.again = nil
	}
	under := make(chan struct{})
	s.under = under
	entry := a.entry
	a.task(func(ctx context.Context) {
		defer close(under)
		if !a.begun(ctx) {
			return
		}
		a.Reach("before", "static files go live")
		err := a.Ports.Releases.PublishStatics(ctx, entry, release)
		a.Reach("after", "static files go live")
		a.post(staticsPublished{n, release, err})
	})
}

// staticsBefore publishes the static files of generation n, which is about to get the public name,
// but does not wait for long: the pages of both releases find theirs meanwhile, once the new ones are
// there.
func (a *Actor) staticsBefore(n int, release string) {
	s := &a.history.statics
	if s.under != nil || !a.entry.CollectStatic {
		return // of what serves; afterwards it is the turn of what serves then
	}
	a.publishStatics(n, release)
	timer := time.NewTimer(staticsWait)
	defer timer.Stop()
	select {
	case <-s.under:
	case <-timer.C:
		a.log.Debug("static files go live after the release", "release", release)
	}
}

// staticsEnded takes the result of a publication.
func (a *Actor) staticsEnded(m staticsPublished) {
	s := &a.history.statics
	s.under = nil
	switch {
	case m.err == nil:
		if s.why != "" {
			a.log.Info("static files are live", "release", m.release)
		}
		s.live, s.why, s.tries = m.n, "", 0
	case a.Hard.Err() != nil: // it was cut short
	default:
		if s.why != m.err.Error() {
			a.log.Error("static files are not those of the release that serves", "release", m.release, "error", m.err)
			a.event(machine.EventStaticFilesFailed, m.release, m.err.Error())
		}
		s.why = m.err.Error()
		wait := min(staticsAgainFirst<<min(s.tries, 10), staticsAgainLast)
		s.tries++
		s.again = time.AfterFunc(wait, func() { a.post(staticsDue{}) })
	}
	a.keepStatics()
	a.publish()
}

// staticsAfterPruning has the files of releases that are gone removed.
func (a *Actor) staticsAfterPruning(releases int) {
	s := &a.history.statics
	if releases < s.kept {
		s.live = 0
	}
	s.kept = releases
	a.keepStatics()
}
