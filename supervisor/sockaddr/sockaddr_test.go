package sockaddr_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// at is the path of name in a temporary folder, with a folder in between so that it has length
// bytes.
func at(t *testing.T, length int, name string) string {
	t.Helper()
	temp, err := os.MkdirTemp("", "s") // shorter than t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	fill := length - len(temp) - len("//") - len(name)
	if fill < 1 {
		t.Skipf("the temporary folder %s is too long", temp)
	}
	dir := filepath.Join(temp, strings.Repeat("d", fill))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func listen(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := sockaddr.With(path, func(addr string) error {
		return unix.Bind(fd, &unix.SockaddrUnix{Name: addr})
	}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
}

func TestSocketIsReachedByAPathOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, length := range []int{sockaddr.Max - 1, sockaddr.Max, sockaddr.Max + 1, 250} {
		path := at(t, length, "gunicorn.sock")
		if len(path) != length {
			t.Fatalf("%s has %d bytes, want %d", path, len(path), length)
		}
		listen(t, path)
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
			t.Errorf("%d bytes: no socket has that name: %v", length, err)
		}
		conn, err := sockaddr.Dial(t.Context(), path)
		if err != nil {
			t.Errorf("%d bytes: %v", length, err)
			continue
		}
		conn.Close()
	}
}

// Whoever explains an error to a user tells these apart.
func TestErrorsKeepTheirCause(t *testing.T) {
	t.Parallel()
	for _, length := range []int{100, 200} {
		path := at(t, length, "socket")
		if _, err := sockaddr.Dial(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes: no socket: %v", length, err)
		}
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if _, err := sockaddr.Dial(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes: no folder: %v", length, err)
		}
		deaf := at(t, length, "deaf")
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at(t, 90, "other"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if err := os.Rename(l.LocalAddr().String(), deaf); err != nil {
			t.Fatal(err)
		}
		if _, err := sockaddr.Dial(t.Context(), deaf); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%d bytes: nobody listens: %v", length, err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := sockaddr.Dial(ended, deaf); !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes: the context has ended: %v", length, err)
		}
	}
}

func TestNameThatIsTooLongByItselfIsRefused(t *testing.T) {
	t.Parallel()
	path := at(t, 220, strings.Repeat("n", sockaddr.Max))
	err := sockaddr.With(path, func(string) error {
		t.Error("there is an address for it")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "too long for the name of a socket") {
		t.Error(err)
	}
}

func TestNoDescriptorIsLeftOpen(t *testing.T) { // not parallel: it looks at the process's descriptors
	want := errors.New("told by use")
	var addr string
	if err := sockaddr.With(at(t, 200, "x"), func(a string) error { addr = a; return want }); err != want {
		t.Errorf("it returns %v", err)
	}
	dir := filepath.Dir(addr)
	if to, err := os.Readlink(dir); err == nil && strings.Contains(to, "ddd") {
		t.Errorf("%s is still open", dir)
	}
}
