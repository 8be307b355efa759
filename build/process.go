package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// command is one process of a build.
type command struct {
	argv  []string
	dir   string
	env   []string
	extra *os.File // becomes descriptor 3
	as    config.Identity
	umask fs.FileMode
}

// process is a command that runs, in a session of its own.
type process struct {
	cmd  *exec.Cmd
	mark string
	done chan struct{} // closed once it has ended and been waited for
	err  error         // how it ended; read it after done

	mu     sync.Mutex
	waited bool // its number may belong to somebody else
}

// How long a process may take to clean up after SIGTERM, and to be gone after
// SIGKILL; and how long one that has done its work may take to end: a thread
// that somebody forgot keeps Python from it for ever.
const (
	afterWork = 5 * time.Second
	afterTerm = 2 * time.Second
	afterKill = 5 * time.Second
)

// start starts c with its output in log. mark is an entry NAME=VALUE of its
// environment by which processes that left its group are found. The caller
// waits for it.
func (c command) start(log *os.File, mark string) (*process, error) {
	// The shell sets the umask, which Go cannot do for one child, and is gone.
	argv := append([]string{"-c", `umask "$1"; shift; exec "$@"`, "sh", fmt.Sprintf("%04o", uint32(c.umask))}, c.argv...)
	cmd := exec.Command("/bin/sh", argv...)
	cmd.Dir, cmd.Env = c.dir, append(c.env[:len(c.env):len(c.env)], mark)
	cmd.Stdout, cmd.Stderr = log, log // a file: a grandchild that lives on holds up nobody
	if c.extra != nil {
		cmd.ExtraFiles = []*os.File{c.extra}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential(c.as)}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.argv[0], err)
	}
	p := &process{cmd: cmd, mark: mark, done: make(chan struct{})}
	go p.reap()
	return p, nil
}

// run runs c to its end, or until ctx ends; then its whole tree is ended, and
// the error is the cause of that.
func (c command) run(ctx context.Context, log *os.File, mark string) error {
	p, err := c.start(log, mark)
	if err != nil {
		return err
	}
	return p.wait(ctx)
}

// reap ends what is left of the group when its leader has ended. It does so
// while the leader is a zombie (waitid(2), WNOWAIT): until it is waited for,
// no other process or group can have its number.
func (p *process) reap() {
	defer close(p.done)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break // whatever else goes wrong, Wait says so
		}
	}
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = p.cmd.Wait()
	p.waited = true
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		p.err = errors.New(exitWords(exit))
	}
}

func exitWords(e *exec.ExitError) string {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("killed by %s", unix.SignalName(status.Signal()))
	}
	return fmt.Sprintf("exit code %d", e.ExitCode())
}

// signal sends sig to the process group.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waited {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // ESRCH: nobody is left
	}
}

// wait waits for the end of p, or ends its tree when ctx ends.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.end()
		return context.Cause(ctx)
	}
}

// end ends the tree of p and waits until it is gone.
func (p *process) end() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} { // CONT: a stopped one acts on TERM only then
		p.signal(sig)
		tellMarked(p.mark, sig)
	}
	grace := time.NewTimer(afterTerm)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-grace.C:
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	endMarked(p.mark)
}

// endMarked kills every process that carries mark in its environment and waits
// until none is left, but not for ever: one that hangs in the kernel is no
// reason to hang as well.
func endMarked(mark string) {
	limit := time.Now().Add(afterKill)
	for tellMarked(mark, syscall.SIGKILL) > 0 && time.Now().Before(limit) {
		time.Sleep(2 * time.Millisecond) // there is no event to wait for: they are not our children
	}
}

// tellMarked sends sig to every process that carries mark in its environment,
// and answers how many there were.
func tellMarked(mark string, sig syscall.Signal) (n int) {
	for pid := range marked(mark) {
		// By pidfd, and looked at again through it: never another process that
		// has got the number meanwhile.
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if _, ok := markedEntry(environOf(pid), mark); ok && p.Signal(sig) == nil {
			n++
		}
		p.Release()
	}
	return n
}

// marked answers the environments of the processes that have an entry that
// begins with mark. Zombies have none.
func marked(mark string) map[int]string {
	found := map[int]string{}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil // without /proc there are only groups
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		env := environOf(pid)
		if _, ok := markedEntry(env, mark); ok {
			found[pid] = env
		}
	}
	return found
}

// A process in the middle of an exec has no environment yet, or none any more.
const (
	execLimit = 100 * time.Millisecond
	execPoll  = time.Millisecond
)

// environOf answers "" where the process is another's, or gone. One in the middle
// of an exec is waited for.
func environOf(pid int) string {
	before := ""
	for limit := time.Now().Add(execLimit); ; {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil {
			return ""
		}
		if len(text) > 0 {
			return string(append([]byte{0}, bytes.TrimRight(text, "\x00")...)) + "\x00"
		}
		now := environAt(pid)
		if now == "" || now != "0" && now == before || time.Now().After(limit) { // the second: it has an empty one
			return ""
		}
		before = now
		time.Sleep(execPoll) // there is no event to wait for
	}
}

// environAt answers the address of a process's environment, which is "0" in the
// middle of an exec; "" for what has none: who is gone, zombies, the kernel's own
// (field 50 of proc_pid_stat(5)).
func environAt(pid int) string {
	const third, flags, envStart = 3, 9, 50
	const kernelThread = 0x00200000 // PF_KTHREAD, include/linux/sched.h
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on, the state: the second may hold anything
	if len(fields) <= envStart-third || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	if n, err := strconv.ParseUint(fields[flags-third], 10, 64); err != nil || n&kernelThread != 0 {
		return ""
	}
	return fields[envStart-third]
}

// markedEntry answers the first entry of an environment that is mark, or that
// begins with it where it ends in a slash or a dash: a folder, or a name's
// beginning.
func markedEntry(env, mark string) (string, bool) {
	seek := "\x00" + mark
	if !strings.HasSuffix(mark, "/") && !strings.HasSuffix(mark, "-") {
		seek += "\x00"
	}
	_, rest, ok := strings.Cut(env, seek)
	if !ok {
		return "", false
	}
	if seek[len(seek)-1] == 0 {
		return mark, true
	}
	rest, _, _ = strings.Cut(rest, "\x00")
	return mark + rest, true
}
