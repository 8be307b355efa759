package actor

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// The steps of an attempt try a release in the environment of that moment. Where env or env_file
// changes later, nothing else would notice a password that is wrong before every page that needs the
// database does.

// lookOf returns what to ask of a candidate's environment before it takes over. nil is nothing: the
// environment is that of what serves, or the release is known to work in it.
func (a *Actor) lookOf(v machine.Version, from build.Release) *build.Look {
	set, ok := a.launches.set(v.RunKey)
	if !ok || a.state.Proven.Release == "" || !set.entry.Migrate && !set.entry.Check {
		return nil
	}
	serves, ok := a.launches.set(a.state.Proven.RunKey)
	if ok && slices.Equal(serves.environ, set.environ) || slices.Contains(a.launches.works, works{v.Release, idOf(set.environ)}) {
		return nil
	}
	return &build.Look{Root: string(a.Root), Build: *set.entry, Release: from, Environ: set.environ}
}

// look asks what lookOf has found for g. The error is a *build.LookError, or that of ctx.
func (a *Actor) look(ctx context.Context, g *generation) error {
	if g.look == nil {
		return nil
	}
	err := a.Ports.Releases.Check(ctx, *g.look)
	if err == nil {
		a.log.Info("changed environment passed its check", "generation", g.n, "release", g.version.Release)
	}
	return err
}

// causeOfLook returns where the cause of a failed look lies. A database that was reached and refused
// the login will do so again.
func causeOfLook(err error) machine.Cause {
	var failed *build.LookError
	if errors.As(err, &failed) && !failed.Away {
		return machine.CauseSettled
	}
	return machine.CauseOutside
}

// worksIn records in which environment a release is known to work.
func (a *Actor) worksIn(release string, in environID) {
	kept := slices.DeleteFunc(a.launches.works, func(w works) bool { return w.release == release || w.release != a.state.Release })
	a.launches.works = append(kept, works{release, in})
}

// environID identifies an environment. It tells nothing of what is in it.
type environID [sha256.Size]byte

func idOf(environ []string) environID { return sha256.Sum256([]byte(strings.Join(environ, "\x00"))) }
