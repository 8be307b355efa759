package doctor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// Kernel is what the kernel lets us do; each returns why it does not.
type Kernel struct {
	Pidfd   func() error // watch a process by a descriptor
	Getfd   func() error // take a socket back from a process that holds it
	Cgroups func() error // give each child a cgroup of its own
	Inotify func() error // watch files
	// Sandbox says what of a process can be confined.
	Sandbox func() (sandbox.Kernel, error)
}

// Here is the kernel that we run on. cgroups tries whether children can have cgroups of their own.
func Here(cgroups func() error) Kernel {
	return Kernel{Pidfd: pidfd, Getfd: getfd, Cgroups: cgroups, Inotify: inotify, Sandbox: sandbox.Here}
}

func (k Kernel) findings() []Finding {
	const check = "kernel"
	var all []Finding
	for _, f := range []struct {
		try      func() error
		name     string
		level    Level
		cost     string
		fix      string
		promised string
	}{
		{k.Pidfd, "pidfd_open", Fail, "the supervisor cannot watch processes", "use Linux 5.4 or later", "processes are watched"},
		{k.Getfd, "pidfd_getfd", Warn, "after a kill -9 of the supervisor it cannot take the sockets back from the servers: once, at the next crash or change of each build, clients that wait in the queue are lost",
			"use Linux 5.6 or later; in a container allow CAP_SYS_PTRACE and pidfd_getfd in its seccomp profile", "sockets can be taken back from running servers"},
		{k.Cgroups, "cgroups", Warn, "a process of a build that hides from its parent, session and environment is not ended with it",
			"run it where cgroup v2 is delegated: Delegate=yes in a systemd unit", "each child gets a cgroup"},
		{k.Inotify, "inotify", Warn, "edits are noticed late or not at all: use `medctrl-supervisor reload` after each",
			"sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512", "edits are noticed"},
	} {
		if f.try == nil {
			continue
		}
		if err := f.try(); err == nil {
			all = append(all, ok(check, "%s: %s", f.name, f.promised))
		} else {
			all = append(all, Finding{Level: f.level, Check: check, Message: fmt.Sprintf("%s: %v; %s", f.name, err, f.cost), Fix: f.fix})
		}
	}
	return all
}

func pidfd() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	// Waiting by it came later (5.4). Not for ourselves, so there is nothing to wait for.
	if err := unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil); err != nil && !errors.Is(err, unix.ECHILD) {
		return os.NewSyscallError("waitid", err)
	}
	return nil
}

func getfd() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	got, err := unix.PidfdGetfd(fd, fd, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_getfd", err)
	}
	return unix.Close(got)
}

// leastWatches is enough for the folders of the source of a large application.
const leastWatches = 8192

func inotify() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("inotify_init1", err)
	}
	defer unix.Close(fd)
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return nil // it cannot be said
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n < leastWatches {
		return fmt.Errorf("a user may watch %d folders", n)
	}
	return nil
}
