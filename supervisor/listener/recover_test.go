package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRecoveredListenerIsTheOneThatWasBound(t *testing.T) {
	t.Parallel()
	shortAndLong(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "s")
		inode, child := orphaned(t, path)
		before := names(t, dir)
		if !served(t, path) {
			t.Fatal("the orphan does not serve")
		}
		l, err := Recover(path, inode, child)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Inode() != inode || l.Path() != path || !l.Named() || !slices.Equal(names(t, dir), before) {
			t.Errorf("inode %d, path %s, named %v, folder %q; want %d, %s, true, %q", l.Inode(), l.Path(), l.Named(), names(t, dir), inode, path, before)
		}
		for _, fd := range []int{l.fd, int(l.File().Fd())} {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d is for every child: %#x, %v", fd, flags, err)
			}
		}
		if flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the child's mode was changed: %#x, %v", flags, err)
		}
		if limit, err := unix.GetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO); err != nil || *limit != (unix.Timeval{}) {
			t.Errorf("accept is limited to %v, %v", limit, err)
		}
		if !served(t, path) {
			t.Error("the child serves no more")
		}

		// Its death costs no client.
		end(t, child)
		client := dial(t, path)
		if n, err := l.QueueLen(); n != 1 || err != nil {
			t.Errorf("%d clients wait, %v; want 1", n, err)
		}
		defer takeAll(t, l)()
		if rest, err := io.ReadAll(client); len(rest) != 0 || err != nil {
			t.Errorf("got %q, %v", rest, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := l.Restore(); err != nil || !l.Named() {
			t.Errorf("name is not put back: %v", err)
		}
		if err := l.Take(filepath.Join(dir, "other")); err != nil || !l.Named() {
			t.Errorf("name is not taken: %v", err)
		}
		if err := errors.Join(l.Unlink(), l.Close()); err != nil {
			t.Error(err)
		}
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("%q are left", left)
		}
	})
}

func TestUnknownSocketIsFoundByItsPath(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string) error{
		"spare": func(string) error { return nil },
		"unix_diag": func(dir string) error {
			found, err := filepath.Glob(filepath.Join(dir, ".s.*"))
			if err != nil || len(found) != 1 {
				return fmt.Errorf("spares %q, %v", found, err)
			}
			return os.Remove(found[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := short(t)
			path := filepath.Join(dir, "s")
			inode, child := orphaned(t, path)
			before := names(t, dir)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			mustBind(t, filepath.Join(dir, "other"))
			l, err := Recover(path, 0, os.Getpid(), child)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if l.Inode() != inode || !l.Named() {
				t.Errorf("inode %d, named %v; want %d, true", l.Inode(), l.Named(), inode)
			}
			if err := l.Restore(); err != nil {
				t.Error(err)
			}
			for _, n := range before {
				if !slices.Contains(names(t, dir), n) {
					t.Errorf("%s was not made again", n)
				}
			}
		})
	}
}

// What others bound has its own path in /proc/net/unix, where there is no unix_diag.
func TestBoundPathIsFoundWithoutDiag(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "with  spaces")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn := dial(t, path) // has the listener's path, too
	defer conn.Close()
	got, err := boundTo(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := socketsOf(fileOf(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !slices.Equal(got, want) {
		t.Errorf("/proc/net/unix says %v, unix_diag %v", got, want)
	}
}

func fileOf(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestRecoveredListenerHasTheNameThatItHad(t *testing.T) {
	t.Parallel()
	dir := short(t)
	public := filepath.Join(dir, "s")
	serving := mustBind(t, public)
	candidate := mustBind(t, public+".next")
	check := func(what string, inode uint64, path string, named bool) {
		t.Helper()
		l, err := Recover(public, inode, os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(l.fd) // not Close, which would take the spare from the other
		if l.Path() != path || l.Named() != named || l.Inode() != inode {
			t.Errorf("%s: path %s, named %v; want %s, %v", what, l.Path(), l.Named(), path, named)
		}
		if err := l.file.Close(); err != nil {
			t.Error(err)
		}
	}
	check("serving", serving.Inode(), public, true)
	check("candidate", candidate.Inode(), public+".next", true)
	if err := candidate.Take(public); err != nil {
		t.Fatal(err)
	}
	check("took over", candidate.Inode(), public, true)
	check("retiring", serving.Inode(), public, false)
}

func TestRecoverSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "s")
	l := mustBind(t, path)
	_, stranger := orphaned(t, filepath.Join(short(t), "s"))
	refuse := func(err error) pidfdGetfd { return func(int, int, int) (int, error) { return -1, err } }
	us := os.Getpid()
	for name, c := range map[string]struct {
		getfd pidfdGetfd
		path  string
		inode uint64
		pids  []int
		want  error
	}{
		"kernel before 5.6":    {refuse(unix.ENOSYS), path, l.Inode(), []int{us}, errors.ErrUnsupported},
		"no right":             {refuse(unix.EPERM), path, l.Inode(), []int{stranger, us}, fs.ErrPermission},
		"has just ended":       {refuse(unix.ESRCH), path, l.Inode(), []int{us}, fs.ErrNotExist},
		"has just closed it":   {refuse(unix.EBADF), path, l.Inode(), []int{us}, fs.ErrNotExist},
		"nobody has it":        {unix.PidfdGetfd, path, l.Inode(), []int{stranger, 1 << 29}, fs.ErrNotExist},
		"nobody to ask":        {unix.PidfdGetfd, path, l.Inode(), nil, fs.ErrNotExist},
		"no such name":         {unix.PidfdGetfd, path + "x", 0, []int{us}, fs.ErrNotExist},
		"another socket":       {unix.PidfdGetfd, path, l.Inode() + 1<<40, []int{us}, fs.ErrNotExist},
		"unknown, not with it": {unix.PidfdGetfd, path, 0, []int{stranger}, fs.ErrNotExist},
	} {
		if got, err := recoverBy(c.getfd, c.path, c.inode, c.pids); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if os.Getuid() != 0 {
		if _, err := Recover(path, l.Inode(), 1); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("from pid 1: %v, want %v", err, fs.ErrPermission)
		}
	}
	// What one refuses another may give.
	first := true
	got, err := recoverBy(func(pidfd, fd, flags int) (int, error) {
		if first {
			first = false
			return -1, unix.EPERM
		}
		return unix.PidfdGetfd(pidfd, fd, flags)
	}, path, l.Inode(), []int{us, us})
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
}

func TestOnlyAListeningUnixSocketIsTakenOver(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	f, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, fd := range map[string]int{"connection": pair[0], "tcp": int(f.Fd()), "file": int(file.Fd()), "none": 1 << 20} {
		if l, err := Inherited(fd, "/s"); l != nil || err == nil || !strings.Contains(err.Error(), "/s") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(unix.Close(pair[0]), unix.Close(pair[1])); err != nil {
		t.Errorf("a descriptor was taken in spite of the error: %v", err)
	}
}

func TestHolderOfASocketIsKnownByItsInode(t *testing.T) {
	t.Parallel()
	inode, child := orphaned(t, filepath.Join(short(t), "s"))
	other := mustBind(t, filepath.Join(short(t), "s"))
	for _, c := range []struct {
		what  string
		inode uint64
		pids  []int
		held  bool
	}{
		{"by the child", inode, []int{child}, true},
		{"by one of several", inode, []int{1 << 29, os.Getpid(), child}, true},
		{"by us", other.Inode(), []int{os.Getpid()}, true},
		{"by who has another", other.Inode(), []int{child}, false},
		{"by one that has gone", inode, []int{1 << 29}, false},
		{"by nobody", inode, nil, false},
	} {
		// The child may not have begun to serve: it has the socket from its fork on.
		if held := HeldBy(c.inode, c.pids...); held != c.held {
			t.Errorf("%s: %v", c.what, held)
		}
	}
}

func TestHolderIsKnownWhileItsDescriptorsChange(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "s")
	inode, child := orphaned(t, path, "/proc/self/exe", "move")
	for range 200 {
		if !HeldBy(inode, child) {
			t.Fatal("nobody seems to hold it")
		}
		l, err := Recover(path, inode, child)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(l.fd) // not Close, which would remove the path
		if err := l.file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The master has its listener under another number, and its workers under yet another.
func TestListenerComesBackFromGunicorn(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import gunicorn").Run(); err != nil {
		t.Skip("gunicorn of the distribution is not there: ", err)
	}
	dir := short(t)
	app := "import os\ndef app(environ, start):\n    start('200 OK', [])\n    return [str(os.getpid()).encode()]\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	inode, master := orphaned(t, path, "/bin/sh", "-c",
		"cd "+dir+" && LISTEN_FDS=1 LISTEN_PID=$$ exec "+python+" -m gunicorn --log-level error --workers 2 --bind 127.0.0.1:1 --worker-tmp-dir /dev/shm app:app")
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	ask := func() (worker int, err error) {
		answer, err := client.Get("http://localhost/")
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(string(body))
	}
	worker, err := ask() // waits in the queue until it serves
	if err != nil {
		t.Fatal(err)
	}
	if worker == master {
		t.Fatal("the master serves")
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := ask(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for name, pids := range map[string][]int{"master": {master}, "worker": {worker}, "either": {1 << 29, os.Getpid(), master, worker}} {
		l, err := Recover(path, inode, pids...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !l.Named() || l.Inode() != inode {
			t.Errorf("%s: inode %d, named %v", name, l.Inode(), l.Named())
		}
		unix.Close(l.fd)
		l.file.Close()
	}
	close(stop)
	wg.Wait()
	l, err := Recover(path, inode, master)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	end(t, master)
	waiting := dial(t, path)
	eventually(t, "its client waits with us", func() bool {
		n, err := l.QueueLen()
		return err == nil && n == 1
	})
	defer takeAll(t, l)()
	if _, err := io.ReadAll(waiting); err != nil {
		t.Error(err)
	}
}

func FuzzSocketFilesOfDiag(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever it is, it ends, and within its bounds.
		_ = eachFile(b, func(byte, uint32, diagFile) {})
	})
}
