package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
)

// seat is where a command is given that runs elsewhere. The command never gets our own terminal, which
// it could read from, write to and change after its end: it gets one that is made for it, and what
// happens at one is brought to the other. That one is ours, so it outlives the supervisor.
type seat struct {
	given    [3]*os.File // what the command gets
	keyboard *os.File    // our terminal that is read from; nil: the command's input is none
	screen   *os.File    // our terminal that is written to
	pty      *os.File    // our side of the command's terminal; nil: it has none
	stderr   *os.File    // where we say something ourselves
	theirs   *os.File    // the command's side, until that has it

	before *unix.Termios // how our keyboard was
	alone  bool          // nobody else writes to our terminal

	signals   chan os.Signal
	suspends  chan struct{} // somebody typed Ctrl-Z
	resumed   chan struct{}
	wake      *os.File // ends the reading of our keyboard
	woken     *os.File
	read      sync.WaitGroup
	lost      chan struct{} // closed when our terminal takes nothing more
	shown     chan struct{} // closed when everything that the command wrote was shown
	ended     atomic.Bool   // the command has ended
	handed    chan struct{} // closed when the command has what is given to it, or will not get it
	handOnce  sync.Once
	leaveOnce sync.Once
}

// takeSeat looks at what we were given, and opens a terminal for the command where one of them is one.
func takeSeat(streams [3]*os.File) (*seat, error) {
	s := &seat{given: streams, stderr: streams[2], suspends: make(chan struct{}), resumed: make(chan struct{}), shown: make(chan struct{}), signals: make(chan os.Signal, 8), lost: make(chan struct{}), handed: make(chan struct{})}
	for i, f := range streams {
		if show.IsTerminal(f) {
			if i == 0 {
				s.keyboard = f
			}
			if s.screen == nil || s.screen == s.keyboard && i > 0 {
				s.screen = f
			}
		}
	}
	s.alone = show.IsTerminal(streams[1])
	if s.screen == nil {
		close(s.shown)
		return s, nil
	}
	var err error
	if s.pty, s.theirs, err = openPTY(); err != nil {
		return nil, err
	}
	if err = s.prepare(); err != nil {
		return nil, errors.Join(err, s.pty.Close(), s.theirs.Close())
	}
	for i, f := range streams {
		if show.IsTerminal(f) {
			s.given[i] = s.theirs
		}
	}
	return s, nil
}

// openPTY makes a terminal. The program's side is opened so that it blocks, as programs expect.
func openPTY() (ours, programs *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a terminal for the command: open /dev/ptmx: %w", err)
	}
	ours = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make a terminal for the command: unlock it: %w", err), ours.Close())
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errors.Join(fmt.Errorf("make a terminal for the command: open it: %w", errno), ours.Close())
	}
	return ours, os.NewFile(peer, "terminal of the command"), nil
}

// prepare makes the command's terminal like ours.
func (s *seat) prepare() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a terminal for the command: %w", err)
		}
	}()
	t, err := unix.IoctlGetTermios(int(s.screen.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	if s.keyboard == nil {
		t.Oflag &^= unix.OPOST // ours does that
		t.Lflag &^= unix.ECHO
	} else {
		if t, err = unix.IoctlGetTermios(int(s.keyboard.Fd()), unix.TCGETS); err != nil {
			return err
		}
		before := *t
		s.before = &before
		if s.woken, s.wake, err = os.Pipe(); err != nil {
			return err
		}
	}
	s.resize()
	return unix.IoctlSetTermios(int(s.theirs.Fd()), unix.TCSETS, t)
}

// resize makes the command's terminal as large as ours.
func (s *seat) resize() {
	size, err := unix.IoctlGetWinsize(int(s.screen.Fd()), unix.TIOCGWINSZ)
	if err == nil {
		_ = onDescriptor(s.pty, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) }) // then it stays as large as it was
	}
}

// onDescriptor does something with the descriptor of f, which stays in Go's poller.
func onDescriptor(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var derr error
	err = raw.Control(func(fd uintptr) { derr = do(int(fd)) })
	return errors.Join(err, derr)
}

// begin passes on what happens at our seat to the command, and what it writes to us.
func (s *seat) begin(a *attended) {
	watched := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGCONT}
	if s.keyboard == nil { // else our terminal sends none
		watched = append(watched, syscall.SIGTSTP)
	}
	if s.pty != nil {
		watched = append(watched, syscall.SIGWINCH)
	}
	signal.Notify(s.signals, watched...)
	if s.pty == nil {
		return
	}
	s.raw()
	go func() {
		defer close(s.shown)
		s.watch()
	}()
	if s.keyboard == nil {
		return
	}
	s.read.Go(func() {
		<-s.handed // until then nobody knows for whom a Ctrl-Z is
		s.bring(a)
	})
}

// handedOver closes our copy of what the command has now: when it ends, we see that.
func (s *seat) handedOver() {
	s.handOnce.Do(func() {
		close(s.handed)
		if s.theirs != nil {
			s.theirs.Close() // nothing was written
		}
	})
}

// raw has our keyboard pass on every key as it is.
func (s *seat) raw() {
	if s.before == nil {
		return
	}
	t := *s.before
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	if s.alone { // else somebody writes to it for whom lines have to end as usual
		t.Oflag &^= unix.OPOST
	}
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	_ = unix.IoctlSetTermios(int(s.keyboard.Fd()), unix.TCSETSW, &t) // it has hung up: its signal is on its way
}

// restore makes our keyboard as it was.
func (s *seat) restore() {
	if s.before != nil {
		_ = unix.IoctlSetTermios(int(s.keyboard.Fd()), unix.TCSETSW, s.before) // nobody is there to see
	}
}

// lastWords is how long more output is waited for once the command has ended, where something that it
// has left behind still has its terminal.
const lastWords = 100 * time.Millisecond

// watch shows what the command writes.
func (s *seat) watch() {
	for text := make([]byte, 32<<10); ; {
		if s.ended.Load() {
			_ = s.pty.SetReadDeadline(time.Now().Add(lastWords)) // fails where it is closed
		}
		n, err := s.pty.Read(text)
		if n > 0 {
			if _, werr := s.screen.Write(text[:n]); werr != nil {
				close(s.lost)
				return
			}
		}
		if err != nil {
			return // the last who had it has ended
		}
	}
}

// bring brings to the command what is typed.
func (s *seat) bring(a *attended) {
	keys := int(s.keyboard.Fd())
	wait := []unix.PollFd{{Fd: int32(keys), Events: unix.POLLIN}, {Fd: int32(s.woken.Fd()), Events: unix.POLLIN}}
	for text := make([]byte, 4096); ; {
		wait[0].Revents, wait[1].Revents = 0, 0
		if _, err := unix.Poll(wait, -1); err != nil && err != unix.EINTR {
			return
		}
		if wait[1].Revents != 0 {
			return
		}
		if wait[0].Revents == 0 {
			continue
		}
		n, err := unix.Read(keys, text)
		switch {
		case err == unix.EINTR, err == unix.EAGAIN:
			continue
		case err != nil || n == 0:
			return // it has hung up
		}
		if !s.pass(a, text[:n]) {
			return
		}
	}
}

// pass brings keys to the command, but for a Ctrl-Z that stops it. It returns false where nobody takes
// them any more.
func (s *seat) pass(a *attended, keys []byte) bool {
	for len(keys) > 0 {
		key, ok := s.suspendKey()
		i := -1
		if ok {
			i = bytes.IndexByte(keys, key)
		}
		if i < 0 || !s.stopsAt(a) || !isResumable() {
			_, err := s.pty.Write(keys)
			return err == nil
		}
		if _, err := s.pty.Write(keys[:i]); err != nil {
			return false
		}
		keys = keys[i+1:]
		select {
		case s.suspends <- struct{}{}:
			<-s.resumed
		case <-s.shown:
			return false
		}
	}
	return true
}

// suspendKey is what the command's terminal takes for Ctrl-Z. ok is false where it takes nothing for
// that: the command sees each key itself.
func (s *seat) suspendKey() (key byte, ok bool) {
	var t *unix.Termios
	err := onDescriptor(s.pty, func(fd int) (err error) {
		t, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil || t.Lflag&unix.ISIG == 0 || t.Cc[unix.VSUSP] == 0 {
		return 0, false
	}
	return t.Cc[unix.VSUSP], true
}

// stopsAt reports whether Ctrl-Z is for us: the command itself is in the foreground, not a job that it
// has started as a shell, and does nothing of its own at SIGTSTP. The kernel would drop that signal, as
// nobody in the command's session could have it go on.
func (s *seat) stopsAt(a *attended) bool {
	pid := int(a.pid.Load())
	group := 0
	err := onDescriptor(s.pty, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	if err != nil || pid == 0 || group != pid {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return err == nil && !handles(status, syscall.SIGTSTP)
}

// handles reports whether a process ignores or catches a signal, by its /proc/PID/status
// (proc_pid_status(5)).
func handles(status []byte, sig syscall.Signal) bool {
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if string(key) != "SigIgn" && string(key) != "SigCgt" {
			continue
		}
		set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil || set>>(sig-1)&1 != 0 {
			return true
		}
	}
	return false
}

// signalled does what a signal asks for. It returns true where we are to end.
func (s *seat) signalled(ctx context.Context, a *attended, sig os.Signal) (gone bool) {
	switch sig {
	case syscall.SIGWINCH:
		s.resize()
	case syscall.SIGHUP:
		return true
	case syscall.SIGTSTP:
		s.suspend(ctx, a)
	case syscall.SIGCONT:
		s.raw()
	default:
		a.signal(ctx, sig.(syscall.Signal))
	}
	return false
}

// stopHere stops us, and returns when we go on: the thread that sends itself the signal does not return
// before.
func stopHere() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // it is ourselves
}

// isResumable reports whether who started us could have us go on, as a shell does: they are of our
// session. Else a stop would be for good.
func isResumable() bool {
	ours, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	theirs, err := unix.Getsid(os.Getppid())
	return err == nil && ours == theirs
}

// suspend stops the command and us, until somebody has us go on.
func (s *seat) suspend(ctx context.Context, a *attended) {
	a.signal(ctx, syscall.SIGSTOP)
	s.restore()
	if s.keyboard != nil {
		signal.Ignore(syscall.SIGTSTP) // a second stop could come after we went on
		_ = unix.Kill(0, unix.SIGTSTP) // to the others of the job, as the terminal would
	}
	stopHere()
	s.raw()
	if s.pty != nil {
		s.resize()
	}
	a.signal(ctx, syscall.SIGCONT)
}

// finish waits until everything that the command wrote is shown.
func (s *seat) finish() {
	s.handedOver()
	s.ended.Store(true)
	if s.pty != nil {
		_ = s.pty.SetReadDeadline(time.Now().Add(lastWords)) // it is open
	}
	<-s.shown
	s.leave()
}

// leave makes our terminal as it was.
func (s *seat) leave() {
	s.leaveOnce.Do(func() {
		s.handedOver()
		if s.pty == nil {
			return
		}
		if s.wake != nil {
			s.wake.Close() // nothing was written
		}
		s.restore()
		s.pty.Close()
		s.read.Wait()
		if s.woken != nil {
			s.woken.Close()
		}
	})
}

// say says something at our terminal, on a line of its own.
func (s *seat) say(text string) {
	end := "\n"
	if s.before != nil {
		end = "\r\n"
	}
	fmt.Fprint(s.stderr, "medctrl-supervisor: "+show.Escape(s.stderr, text)+end)
}
