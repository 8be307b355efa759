package actor

import (
	"errors"
	"io/fs"
	"slices"

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
// have it again is replaced by a new one: clients wait there, or are told to come back, until a
// generation serves it.
func (a *Actor) keepName() {
	kept := a.public.Restore()
	if kept != public.KeptAsWas {
		a.losses.add("the public socket's name was removed for a moment")
	}
	if kept != public.KeptNoMore {
		return
	}
	if err := a.public.Renew(); err != nil {
		a.log.Error("public socket cannot be made, it is tried again after the next probe", "error", err)
		return
	}
	a.turn(machine.NameLost{})
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

// releaseGone has another release made in the place of one whose files are gone.
func (a *Actor) releaseGone(release string, why error) {
	if a.state.Want != machine.WantServe || a.state.Gone == release {
		return // it is known
	}
	a.log.Error("files of a release were removed, another one is made", "release", release, "error", why)
	a.launches.of = slices.DeleteFunc(a.launches.of, func(r recipe) bool { return r.version.Release == release }) // another start looks again
	a.turn(machine.ReleaseGone{Release: release})
}
