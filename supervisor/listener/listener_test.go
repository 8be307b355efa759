package listener

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// short makes a folder with a path short enough for sockets.
func short(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var keep = Options{UID: -1, GID: -1}

func mustBind(t testing.TB, path string) *Listener {
	t.Helper()
	l, err := Bind(path, keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect is one try without waiting.
func connect(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	err = sockaddr.With(path, func(addr string) error { return unix.Connect(fd, &unix.SockaddrUnix{Name: addr}) })
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

func dial(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := sockaddr.Dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.UnixConn)
}

// takeAll accepts and closes everything that comes, as a server does, until stop is called.
func takeAll(t testing.TB, l *Listener) (stop func()) {
	t.Helper()
	ln, err := net.FileListener(l.File())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	return func() {
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		ln.Close()
		wg.Wait()
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestSocketHasItsModeAndOwner(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o666} {
		path := filepath.Join(short(t), "s")
		l, err := Bind(path, Options{UID: os.Getuid(), GID: os.Getgid(), Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		want := mode
		if mode == 0 {
			want = Mode
		}
		if info.Mode() != want|fs.ModeSocket {
			t.Errorf("mode %v, want %v", info.Mode(), want)
		}
	}
}

func TestSocketIsGivenToAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(short(t), "s")
	l, err := Bind(path, Options{UID: 65534, GID: 65533})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 65534 || st.Gid != 65533 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
}

func TestFailedBindLeavesNothing(t *testing.T) {
	t.Parallel()
	if asNobody(t) {
		return
	}
	dir := short(t)
	if l, err := Bind(filepath.Join(dir, "s"), Options{UID: 0, GID: -1}); err == nil {
		l.Close()
		t.Fatal("gave a socket to root")
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left %q", n)
	}
}

// asNobody runs the test once more, as a user without rights, where this one is root, and reports
// whether it did: then the rest of it has been run.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return false
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	again.Dir = "/"
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return true
}

func TestNameNeverLeadsToASocketThatDoesNotListen(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			fd, err := connect(path)
			if err == nil {
				unix.Close(fd)
			} else if !errors.Is(err, unix.ENOENT) {
				t.Errorf("connect: %v", err)
				return
			}
		}
	})
	for range 300 {
		l, err := Bind(path, keep)
		if err != nil {
			t.Error(err)
			break
		}
		if err := l.Unlink(); err != nil {
			t.Error(err)
		}
		// Closed only at the end: a client that looked the name up just before Unlink may connect
		// just after.
		defer l.Close()
	}
	close(stop)
	wg.Wait()
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left %q", n)
	}
}

func TestLeftoverSocketIsReplaced(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	l := mustBind(t, path)
	if !l.Named() {
		t.Error("the name does not lead to the new socket")
	}
	dial(t, path)
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := short(t)
	other := mustBind(t, filepath.Join(dir, "other"))
	for name, make := range map[string]func(string) error{
		"file":   func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"folder": func(p string) error { return os.Mkdir(p, 0o700) },
		"link":   func(p string) error { return os.Symlink(other.Path(), p) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before := names(t, dir)
		_, err := Bind(path, keep)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("bind over a %s: %v", name, err)
		}
		if err := other.Take(path); !errors.Is(err, fs.ErrExist) || !other.Named() {
			t.Errorf("take over a %s: %v", name, err)
		}
		if after := names(t, dir); len(after) != len(before) {
			t.Errorf("left %q", after)
		}
	}
}

func TestPathsBeyondTheLengthOfAnAddressWork(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(short(t), strings.Repeat("d", 120), strings.Repeat("e", 120))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := mustBind(t, filepath.Join(dir, "gunicorn.sock.next"))
	public := filepath.Join(dir, "gunicorn.sock")
	if err := l.Take(public); err != nil {
		t.Fatal(err)
	}
	fd, err := connect(public)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	_, err = Bind(filepath.Join(dir, strings.Repeat("n", 120)), keep)
	if err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a name that can never be bound: %v", err)
	}
}

func TestSocketIsHandedOverBlockingAndClosedOnExec(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	flags := func(cmd int) int {
		n, err := unix.FcntlInt(l.File().Fd(), cmd, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if flags(unix.F_GETFL)&unix.O_NONBLOCK != 0 {
		t.Error("not blocking")
	}
	if flags(unix.F_GETFD)&unix.FD_CLOEXEC == 0 {
		t.Error("not closed on exec")
	}
	// gunicorn does this; Fd must not undo it.
	if err := unix.SetNonblock(int(l.File().Fd()), true); err != nil {
		t.Fatal(err)
	}
	if flags(unix.F_GETFL)&unix.O_NONBLOCK == 0 {
		t.Error("Fd changed the mode that the children share")
	}
}

func TestCloseKeepsTheNameAndRemovesTheSpare(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l := mustBind(t, filepath.Join(dir, "s"))
	if n := names(t, dir); len(n) != 2 || n[0] != ".s."+strconv.FormatUint(l.Inode(), 10) {
		t.Errorf("names %q", n)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := names(t, dir); len(n) != 1 || n[0] != "s" {
		t.Errorf("names %q", n)
	}
	if _, err := l.QueueLen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("queue length after close: %v", err)
	}
	if err := l.Drained(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("drain after close: %v", err)
	}
}

func TestForgottenListenerStaysOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "s")
	fd := func() int {
		l, err := Bind(path, keep)
		if err != nil {
			t.Fatal(err)
		}
		return l.fd
	}()
	defer unix.Close(fd)
	for range 5 {
		runtime.GC()
	}
	dial(t, path)
}

func TestInodeIsThatOfTheProcessTable(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	link, err := os.Readlink(procPath(int(l.File().Fd())))
	if err != nil {
		t.Fatal(err)
	}
	if want := "socket:[" + strconv.FormatUint(l.Inode(), 10) + "]"; link != want {
		t.Errorf("%s, want %s", link, want)
	}
}

// Between bind(2) and the look at what was bound, anybody who may write in the folder can do this.
func TestFileInThePlaceOfTheNewSocketIsNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), ".s.12")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &Listener{fd: -1, spare: path}
	err := l.own(keep)
	if !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want %s to be named", err, path)
	}
	if err := l.removeSpare(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q now: %v", text, err)
	}
}
