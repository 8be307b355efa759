package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// image is a Spec made ready to be executed: names looked up, files opened.
type image struct {
	spec Spec
	path string
	// env is the child's environment without LISTEN_PID, which is known only after the fork and
	// comes last.
	env    []string
	listen bool
	// fds are the descriptors that become 0 to 5, all of them above those, or -1.
	fds [childFDs]int
	// limits, oom and cookie are what the whole tree keeps.
	limits []Rlimit
	oom    []byte
	cookie uint64
	// cgroup is the child's own, or "". enter says that it enters that by itself.
	cgroup string
	enter  bool
	// ruleset is that of its box, and reopen the descriptor of the log that is opened again in there;
	// -1 is none.
	ruleset, reopen int
	// outside is why it is not in its cgroup.
	outside error
	// limited says that it must not run outside of it, because its limits are there; groups are those
	// that it has to enter as well for its limits.
	limited bool
	groups  []string
	// opened are the descriptors to close once the child has them.
	opened []int
}

// prepare opens and checks what can be opened and checked before the fork, so that an error names
// it. The image must be closed.
func prepare(s Spec, null int) (_ *image, err error) {
	img := &image{
		spec: s, listen: s.Listener != nil, fds: [childFDs]int{null, null, null, -1, -1, -1},
		limits: s.limits(), cookie: cookieOf(s.tag()),
	}
	defer func() {
		if err != nil {
			img.close()
		}
	}()
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return nil, errors.New("start a process: no command given")
	}
	if s.Listener != nil && s.Extra != nil {
		return nil, fmt.Errorf("start %s: Listener and Extra both want descriptor %d", s.Argv[0], listenerFD)
	}
	if s.Private != nil && s.Listener == nil {
		return nil, fmt.Errorf("start %s: Private without Listener", s.Argv[0])
	}
	if s.Terminal && s.Stdin == nil {
		return nil, fmt.Errorf("start %s: it has no terminal to control it", s.Argv[0])
	}
	if s.Mark != "" && s.Task != "" {
		return nil, fmt.Errorf("start %s: it has a Mark and a Task", s.Argv[0])
	}
	if within := s.pool(); within != "" && !limits.MayBeWithin(s.tag(), within) {
		return nil, fmt.Errorf("start %s: the pool %q of its limits is no part of its mark %q", s.Argv[0], within, s.tag())
	}
	if i := slices.IndexFunc(s.Argv, hasNUL); i >= 0 {
		return nil, fmt.Errorf("start %s: argument %d holds a NUL byte", s.Argv[0], i)
	}
	if img.env, err = environ(s); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Argv[0], err)
	}
	if u := s.User; u != nil && os.Geteuid() != 0 && int(u.UID) == os.Geteuid() && int(u.GID) == os.Getegid() {
		img.spec.User = nil // that is us already; setgroups(2) would refuse
	}
	if hasNUL(s.Dir) {
		return nil, fmt.Errorf("start %s: folder %q holds a NUL byte", s.Argv[0], s.Dir)
	}
	if img.path, err = lookPath(s.Argv[0], s.Dir, img.env); err != nil {
		return nil, err
	}
	if s.Log != "" && s.Stdout == nil {
		fd, err := unix.Open(s.Log, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("open log %s: %w", s.Log, err)
		}
		img.opened = append(img.opened, fd)
		if fd, err = img.dup(fd); err != nil {
			return nil, fmt.Errorf("open log %s: %w", s.Log, err)
		}
		img.fds[1], img.fds[2] = fd, fd
	}
	for _, handed := range []struct {
		file *os.File
		as   []int
	}{{s.Stdin, []int{0}}, {s.Stdout, []int{1, 2}}, {s.Stderr, []int{2}}, {s.Listener, []int{listenerFD}}, {s.Extra, []int{listenerFD}}, {s.Private, []int{privateFD}}, {s.Ready, []int{readyFD}}} {
		if handed.file == nil {
			continue
		}
		fd, err := img.dupFile(handed.file)
		if err != nil {
			return nil, fmt.Errorf("hand %s to the child: %w", handed.file.Name(), err)
		}
		for _, target := range handed.as {
			img.fds[target] = fd
		}
	}
	if err := img.box(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Argv[0], err)
	}
	return img, nil
}

func (img *image) close() {
	for _, fd := range img.opened {
		unix.Close(fd) // nothing was written through it
	}
	img.opened = nil
}

// dup makes a copy above the numbers that the child's own descriptors take, so that putting one in
// its place never overwrites another.
func (img *image) dup(fd int) (int, error) {
	up, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, childFDs)
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	img.opened = append(img.opened, up)
	return up, nil
}

// dupFile goes around File.Fd, which may make the file blocking.
func (img *image) dupFile(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if cerr := raw.Control(func(p uintptr) { fd, err = img.dup(int(p)) }); cerr != nil {
		return -1, cerr
	}
	return fd, err
}

// environ is the Spec's environment and ours. The mark comes first: a sweep then finds it in the
// first page of /proc/PID/environ.
func environ(s Spec) ([]string, error) {
	var ours, drop []string
	if s.Mark != "" {
		ours = append(ours, MarkKey+"="+s.Mark)
		drop = append(drop, MarkKey, TaskKey)
	}
	if s.Task != "" {
		ours = append(ours, TaskKey+"="+s.Task)
		drop = append(drop, MarkKey, TaskKey)
	}
	if s.Listener != nil {
		if s.Private != nil {
			ours = append(ours, "LISTEN_FDS=2", "LISTEN_FDNAMES=gunicorn:private")
		} else {
			ours = append(ours, "LISTEN_FDS=1", "LISTEN_FDNAMES=gunicorn")
		}
		drop = append(drop, "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID")
	}
	if s.Ready != nil {
		ours = append(ours, readyKey+"="+strconv.Itoa(readyFD))
		drop = append(drop, readyKey)
	}
	env := make([]string, 0, len(ours)+len(s.Env))
	set := make(map[string]bool, len(s.Env)+len(drop))
	for _, key := range drop {
		set[key] = true
	}
	for _, kv := range slices.Backward(s.Env) {
		key, _, ok := strings.Cut(kv, "=")
		if !ok || hasNUL(kv) {
			// The value may be a secret: name the key only.
			return nil, fmt.Errorf("environment: %q is not KEY=VALUE without NUL bytes", key)
		}
		if !set[key] {
			set[key] = true
			env = append(env, kv)
		}
	}
	for _, kv := range slices.Backward(ours) {
		if hasNUL(kv) {
			return nil, fmt.Errorf("environment: %q holds a NUL byte", kv)
		}
		env = append(env, kv)
	}
	slices.Reverse(env)
	return env, nil
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// lookPath finds a command as execvp(3) would, with the child's PATH.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	var path string
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
			break
		}
	}
	var denied error
	for _, d := range filepath.SplitList(path) {
		p := filepath.Join(d, name)
		if !strings.Contains(p, "/") {
			p = "./" + p
		}
		at := p
		if !filepath.IsAbs(at) {
			at = filepath.Join(dir, p)
		}
		info, err := os.Stat(at)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 == 0 {
			denied = fmt.Errorf("execute %s: %w", at, fs.ErrPermission)
			continue
		}
		return p, nil
	}
	if denied != nil {
		return "", denied
	}
	return "", fmt.Errorf("execute %s: %w in PATH %q", name, fs.ErrNotExist, path)
}

// step is what a child does between fork and exec, in this order.
type step uintptr

const (
	stepSession step = iota
	stepLimits
	stepRlimits
	stepBox
	stepLog
	stepGroups
	stepGroup
	stepUser
	stepPrivs
	stepDir
	stepFiles
	stepTerminal
	stepSetup
	stepFilter
	stepExec
)

// failure words what a child could not do.
func (img *image) failure(at step, errno syscall.Errno) error {
	user := "nobody else"
	if u := img.spec.User; u != nil {
		user = fmt.Sprintf("user %d, group %d", u.UID, u.GID)
	}
	switch at {
	case stepSession:
		return fmt.Errorf("start %s: new session: %w", img.path, errno)
	case stepLimits:
		return fmt.Errorf("start %s: enter the cgroup of its limits: %w", img.path, errno)
	case stepRlimits:
		return fmt.Errorf("start %s: %w", img.path, img.rlimitFailure(errno))
	case stepBox:
		return fmt.Errorf("start %s: enter its sandbox (landlock_restrict_self): %w", img.path, errno)
	case stepLog:
		return fmt.Errorf("start %s: open its log in the sandbox: %w", img.path, errno)
	case stepFilter:
		return fmt.Errorf("start %s: refuse it system calls (seccomp): %w", img.path, errno)
	case stepGroups, stepGroup, stepUser:
		if errno == unix.EPERM {
			return fmt.Errorf("start %s: become %s: %w (only root may start a process as another user)", img.path, user, errno)
		}
		return fmt.Errorf("start %s: become %s: %w", img.path, user, errno)
	case stepPrivs:
		return fmt.Errorf("start %s: give up privileges: %w", img.path, errno)
	case stepDir:
		return fmt.Errorf("start %s: enter folder %s: %w", img.path, img.spec.Dir, errno)
	case stepFiles:
		return fmt.Errorf("start %s: put its files in place: %w", img.path, errno)
	case stepTerminal:
		return fmt.Errorf("start %s: make %s the terminal that controls it: %w", img.path, img.spec.Stdin.Name(), errno)
	case stepSetup:
		return fmt.Errorf("start %s: exec step: %w", img.path, errno)
	}
	if errno == unix.ENOENT && img.exists() {
		return fmt.Errorf("execute %s: the interpreter it names (its #! line or ELF loader) is missing: %w", img.path, errno)
	}
	return fmt.Errorf("execute %s: %w", img.path, errno)
}

func (img *image) exists() bool {
	p := img.path
	if !filepath.IsAbs(p) {
		p = filepath.Join(img.spec.Dir, p)
	}
	_, err := os.Stat(p)
	return err == nil
}
