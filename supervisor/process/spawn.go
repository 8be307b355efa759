package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spawn starts a child in a session of its own, so that its pid is also that of its group and
// session. It returns when the child's program runs, or with an error that names what could not be
// done: the command, its folder, its user, its log.
//
// exited is called exactly once when the child has ended, from the table's one goroutine, possibly
// before Spawn returns. It must be quick and must not call Spawn, Freeze or Close. It may be nil.
// Spawn may be called from many goroutines at once.
//
// After the exit call Child.End: it ends what the child left behind and frees what is kept to reach
// it.
func (t *Table) Spawn(s Spec, exited func(Exit)) (*Child, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, errClosed
	}
	t.inSpawn.Add(1)
	t.mu.Unlock()
	defer t.inSpawn.Done()
	t.moving.RLock()
	defer t.moving.RUnlock()
	img, err := prepare(s, t.null)
	if err != nil {
		return nil, err
	}
	defer img.close()
	img.oom = oomText(t.oom, s.OOM)
	img.cgroup, img.outside = t.cgroups.make(s.tag(), s.pool())
	group, err := t.limit(s, img)
	if err != nil {
		if img.cgroup != "" {
			removeCgroup(img.cgroup) // where that fails, FindCgroups finds it next time
		}
		return nil, fmt.Errorf("start %s: %w", img.path, err)
	}
	img.enter = t.noCloneInto.Load()
	var pid, pidfd int
	if t.stepOnly {
		pid, pidfd, err = execStep(t.self, img)
	} else {
		pid, pidfd, err = clone(img, t.nofile)
		if img.enter && img.outside == nil && t.noCloneInto.CompareAndSwap(false, true) {
			t.log.Debug("children enter their cgroups by themselves, they cannot be started in them")
		}
	}
	if img.outside != nil {
		t.log.Warn("child gets no cgroup of its own: what wipes its environment and leaves its session is not found when the child ends", "error", img.outside)
	}
	if img.cgroup != "" && (err != nil || img.outside != nil) {
		removeCgroup(img.cgroup) // where that fails, FindCgroups finds it next time
		img.cgroup = ""
	}
	if err != nil {
		if group != nil {
			err = errors.Join(err, group.Remove())
		}
		return nil, err
	}
	// It cannot be reaped before it is in the table: the pid is its own.
	start, err := StartTime(pid)
	c := &Child{
		table: t, pid: pid, start: start, tag: s.tag(), users: []int{userOf(s)}, cgroup: img.cgroup, allowance: allowance{group: group}, exited: exited,
		inside: img.cgroup != "" && !t.stepOnly, // an exec step does not say whether it could enter
		pidfd:  pidfd, done: make(chan struct{}), request: request{stop: s.StopSignal},
	}
	if err == nil {
		err = t.add(&watch{pidfd: pidfd, child: c, done: c.done})
	}
	if err != nil {
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // where this fails it is dead
		reapFailed(pidfd)
		return nil, fmt.Errorf("start %s: watch it: %w", img.path, err)
	}
	return c, nil
}

// inheritedNofile returns the limit of open files that we were started with. Go raises ours, keeps
// the old one to itself and gives it to what syscall.ForkExec starts (syscall/rlimit.go): so it is
// asked of such a process. Nil is that Go did not raise it.
func inheritedNofile() (*syscall.Rlimit, error) {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	if now.Cur != now.Max-1 { // how Go marks that it did
		return nil, nil
	}
	// Any program that is not Go's will do; the limit of a zombie can be read as well.
	path, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	pid, err := syscall.ForkExec(path, []string{"true"}, &syscall.ProcAttr{Env: []string{}})
	if err != nil {
		return nil, fmt.Errorf("execute %s: %w", path, err)
	}
	var was unix.Rlimit
	err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was)
	for {
		if _, werr := unix.Wait4(pid, nil, 0, nil); werr != unix.EINTR {
			break
		}
	}
	if err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	return &syscall.Rlimit{Cur: was.Cur, Max: was.Max}, nil
}
