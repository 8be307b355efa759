package prebuild

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// Command is a command in a release that [Build] made, as a server of the same entry would run it: with
// its environment, working_dir, umask and limits of a process, and as whoever calls.
type Command struct {
	path      string
	argv, env []string
	dir       string
	umask     os.FileMode
	limits    config.Limits
	newPrivs  bool
}

// NewCommand finds the release of an entry below root, and the program in its environment. environ is
// our own.
func NewCommand(root string, entry config.Build, argv, environ []string) (*Command, error) {
	owner, err := config.IdentityOf(entry)
	switch {
	case err != nil:
		return nil, err
	case !owner.Own():
		return nil, fmt.Errorf("build %s runs as user %s: without a supervisor nothing changes to it; call this as that user", entry.Name, entry.User)
	case entry.Sandbox.Enabled:
		return nil, fmt.Errorf("build %s has a sandbox, which only a supervisor makes: `run` without --prebuilt asks one that is running", entry.Name)
	}
	place := server.Place{Paths: layout.Root(root).Build(entry.Name), GID: owner.GID}
	to, err := os.Readlink(place.Paths.Current())
	if err != nil {
		return nil, fmt.Errorf("find the release of %s, which `medctrl-supervisor build %s --root %s` makes: %w", entry.Name, entry.Name, root, err)
	}
	if place.Release, err = build.Get(root, entry.Name, filepath.Base(to)); err != nil {
		return nil, err
	}
	env, err := config.Environ(entry, environ)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", entry.Name, err)
	}
	launch := server.PrepareTask(&entry, env, place, owner, server.Once{Argv: argv, Braces: true})
	c := &Command{argv: launch.Argv, env: launch.Env, dir: launch.Dir, umask: launch.Umask, limits: launch.Limits, newPrivs: launch.NewPrivs}
	switch c.path = c.argv[0]; {
	case filepath.IsAbs(c.path):
	case strings.Contains(c.path, "/"): // from where it is to run
		c.path = filepath.Join(c.dir, c.path)
	default:
		if c.path, err = build.Program(c.argv[0], c.env); err != nil {
			return nil, fmt.Errorf("find %s for build %s: %w", c.argv[0], entry.Name, err)
		}
	}
	return c, nil
}

// Exec executes it in our own place. It returns only where that fails.
func (c *Command) Exec() error {
	if err := c.prepare(); err != nil {
		return err
	}
	if err := os.Chdir(c.dir); err != nil {
		return err
	}
	return &os.PathError{Op: "execute", Path: c.path, Err: syscall.Exec(c.path, c.argv, c.env)} //nolint:gosec // it is what the caller asks for
}

// Attend starts it as a child and waits for it, as the first process of a container has to: signals go
// on to it, stop in the place of SIGTERM, and what it leaves behind is reaped. It returns its exit code,
// or 128 and the number of the signal that ended it.
func (c *Command) Attend(signals <-chan os.Signal, stop syscall.Signal) (code int, err error) {
	if err := c.prepare(); err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(c.path, c.argv, &syscall.ProcAttr{Dir: c.dir, Env: c.env, Files: []uintptr{0, 1, 2}}) //nolint:gosec // as above
	if err != nil {
		return 0, &os.PathError{Op: "start", Path: c.path, Err: err}
	}
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGTERM {
					sig = stop
				}
				_ = syscall.Kill(pid, sig.(syscall.Signal)) // it may have ended, and is reaped below
			case <-ended:
				return
			}
		}
	}()
	defer func() {
		close(ended)
		<-passed
	}()
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR), err == nil && got != pid:
			continue // one that it left behind
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}

// prepare gives this thread what the command inherits.
func (c *Command) prepare() error {
	runtime.LockOSThread() // no_new_privs is a thread's
	syscall.Umask(int(c.umask))
	for _, l := range []struct {
		name     string
		resource int
		most     uint64
		set      bool
	}{
		{"limits.nofile", unix.RLIMIT_NOFILE, uint64(c.limits.Nofile), c.limits.Nofile > 0},
		{"limits.core", unix.RLIMIT_CORE, uint64(c.limits.Core), true},
	} {
		if !l.set {
			continue
		}
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("set %s: %w", l.name, err)
		}
	}
	if c.newPrivs {
		return nil
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}
