package actor

import (
	"errors"
	"io/fs"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// What somebody removes of the build's folder is made again.

// guard watches the public name from now on, or no longer.
func (a *Actor) guard(on bool) {
	if !on {
		a.Ports.Sockets.Guard(a.paths, nil)
		return
	}
	a.Ports.Sockets.Guard(a.paths, func() { a.post(folderTouched{}) })
}

// keepName gives the public socket its name back, where somebody removed it. A socket that cannot
// have it again is replaced: by a new one where nothing serves, else by that of another generation.
func (a *Actor) keepName() {
	switch {
	case a.public.Restore() != public.KeptNoMore:
	case a.state.Serving.N == 0:
		if err := a.public.Renew(); err != nil {
			a.log.Error("public socket cannot be made", "error", err)
		}
	case a.state.Candidate.N == 0:
		a.turn(machine.RestartNow{})
	}
}

// keepFolder makes the data folder and the link to the current release again.
func (a *Actor) keepFolder() {
	if a.state.Want != machine.WantServe || a.state.Proven.Release == "" {
		return // nothing serves that could miss them
	}
	if err := a.Ports.Host.MakeData(a.entry, a.paths); err != nil {
		a.log.Error("data folder cannot be made", "error", err)
	}
	a.history.current = ""
	a.linkCurrent()
}

// keepRelease has a release built in the place of the one that serves, where that is gone.
func (a *Actor) keepRelease() {
	release := a.state.Proven.Release
	if release == "" {
		return
	}
	if _, err := a.Ports.Releases.Get(a.name, release); errors.Is(err, fs.ErrNotExist) {
		a.releaseGone(release, err)
	}
}

// releaseGone asks for another release, unless one is on its way.
func (a *Actor) releaseGone(release string, why error) {
	st := a.state
	if st.Want != machine.WantServe || st.Building.Running || st.NeedBuild != machine.NeedNone || !st.BuildAt.IsZero() {
		return
	}
	a.log.Error("release that serves is not all there any more, it is built again", "release", release, "error", why)
	a.turn(machine.InputsChanged{})
}
