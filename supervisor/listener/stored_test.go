package listener

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// stored is a duplicate of the socket of l, as somebody else holds it. It is the caller's until Stored
// makes a Listener of it.
func stored(t *testing.T, l *Listener) int {
	t.Helper()
	fd, err := unix.FcntlInt(l.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestStoredSocketIsTheOneThatWasLeft(t *testing.T) {
	t.Parallel()
	shortAndLong(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "s.next")
		l, err := Bind(path, keep)
		if err != nil {
			t.Fatal(err)
		}
		public := filepath.Join(dir, "s")
		if err := l.Take(public); err != nil {
			t.Fatal(err)
		}
		fd := stored(t, l)
		if err := l.Leave(); err != nil {
			t.Fatal(err)
		}
		c := dial(t, public) // waits in the queue that nobody of us holds
		back, err := Stored(fd, public, l.Inode(), "s", "s.next")
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		if n, err := back.QueueLen(); !back.Named() || back.Path() != public || n != 1 || err != nil {
			t.Errorf("it is %s, named: %v, with %d in its queue, %v", back.Path(), back.Named(), n, err)
		}
		c.Close()
		if err := os.Remove(public); err != nil {
			t.Fatal(err)
		}
		if err := back.Restore(); err != nil {
			t.Errorf("its spare name is lost: %v", err)
		}
	})
}

func TestStoredSocketThatWasRemovedCanHaveItsNameAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "s")
	l, err := Bind(path, keep)
	if err != nil {
		t.Fatal(err)
	}
	fd := stored(t, l)
	if err := l.Leave(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	back, err := Stored(fd, path, l.Inode(), "s")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if back.Named() {
		t.Error("it has a name, it says")
	}
	if err := back.Restore(); err != nil || !back.Named() {
		t.Error(err)
	}
}

func TestStoredDescriptorThatIsNotWhatItSaysIsRefused(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	l, err := Bind(path, keep)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := Bind(filepath.Join(short(t), "s"), keep)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	foreign, err := net.Listen("unix", filepath.Join(dir, "foreign"))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	plain, err := foreign.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	internet, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer internet.Close()
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ours, others := stored(t, l), stored(t, other)
	defer unix.Close(ours)
	defer unix.Close(others)
	numbered := func(fd int) uint64 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	for what, c := range map[string]struct {
		fd    int
		inode uint64
	}{
		"another number":            {ours, l.Inode() + 1},
		"of another folder":         {others, other.Inode()},
		"bound by somebody else":    {int(plain.Fd()), numbered(int(plain.Fd()))},
		"connected, without a name": {pair[0], numbered(pair[0])},
		"of the internet":           {int(internet.Fd()), numbered(int(internet.Fd()))},
		"a folder":                  {int(file.Fd()), numbered(int(file.Fd()))},
		"not open":                  {1 << 20, 1},
	} {
		if got, err := Stored(c.fd, path, c.inode, "s", "s.next"); err == nil {
			t.Errorf("%s: it is used", what)
			got.Leave()
		}
	}
}

func TestHeldAreTheSocketsOfAProcess(t *testing.T) {
	t.Parallel()
	l, err := Bind(filepath.Join(short(t), "s"), keep)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if held, err := Held(os.Getpid()); err != nil || !held[l.Inode()] || held[l.Inode()+1<<40] {
		t.Errorf("%v, %v", held, err)
	}
	if held, err := Held(1 << 30); err == nil {
		t.Errorf("a process that is not there holds %v", held)
	}
}
