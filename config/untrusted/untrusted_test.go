package untrusted

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// soon fails where open does not return at once: it waits for somebody.
func soon(t *testing.T, what string, open func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- open() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it is waited for", what)
		return nil
	}
}

func TestNothingButARegularFileIsOpenedAndNothingIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "u") // short: the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, make := range map[string]func(path string) error{
		"a named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	} {
		at := strings.ReplaceAll(name, " ", "-")
		if err := make(filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
		for how, open := range map[string]func() error{
			"Open":      func() error { _, err := Open(filepath.Join(dir, at)); return err },
			"ReadFile":  func() error { _, err := ReadFile(filepath.Join(dir, at), 1<<20); return err },
			"OpenBelow": func() error { _, err := OpenBelow(dir, at); return err },
		} {
			if err := soon(t, how+" of "+name, open); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s of %s: %v", how, name, err)
			}
		}
	}
	if _, err := Open("/dev/zero"); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), "a device") {
		t.Errorf("a device: %v", err)
	}
}

// Whoever waits for a reader of a named pipe would go on as soon as it is opened.
func TestNamedPipeIsNotEvenOpened(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(pipe); !errors.Is(err, ErrNotRegular) {
		t.Fatal(err)
	}
	if fd, err := unix.Open(pipe, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); !errors.Is(err, unix.ENXIO) {
		unix.Close(fd)
		t.Errorf("the pipe has a reader: %v", err)
	}
}

func TestLinksAreFollowedOnlyWhereAPersonNamedThePath(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("text"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret"))
	write(filepath.Join(dir, "own/file"))
	for link, to := range map[string]string{
		"file":     filepath.Join(outside, "secret"),
		"folder":   outside,
		"within":   "own/file",
		"own/up":   "../../" + filepath.Base(outside),
		"magic":    "/proc/self/root",
		"dangling": "missing",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := ReadFile(filepath.Join(dir, "folder/secret"), 10); string(text) != "text" || err != nil {
		t.Errorf("by links that a person named: %q, %v", text, err)
	}
	ways := map[string]func(string) (*os.File, error){
		"by openat2": func(rel string) (*os.File, error) { return OpenBelow(dir, rel) },
		"name after name": func(rel string) (*os.File, error) {
			return openBelow(dir, rel, func(int, string, *unix.OpenHow) (int, error) { return -1, unix.ENOSYS })
		},
		"where openat2 is forbidden": func(rel string) (*os.File, error) {
			return openBelow(dir, rel, func(int, string, *unix.OpenHow) (int, error) { return -1, unix.EPERM })
		},
	}
	for how, open := range ways {
		f, err := open("own/file")
		if err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		if text, err := Read(f, 10); string(text) != "text" || err != nil {
			t.Errorf("%s: %q, %v", how, text, err)
		}
		f.Close()
		for _, rel := range []string{"file", "folder/secret", "within", "own/up/secret", "magic/etc/passwd", "dangling"} {
			if _, err := open(rel); !errors.Is(err, ErrLink) {
				t.Errorf("%s: %s: %v", how, rel, err)
			}
		}
		for _, rel := range []string{"../" + filepath.Base(outside) + "/secret", filepath.Join(outside, "secret"), "", "own/../../x"} {
			if _, err := open(rel); err == nil || !strings.Contains(err.Error(), "leads out of") {
				t.Errorf("%s: %q: %v", how, rel, err)
			}
		}
		if _, err := open("own/missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: missing: %v", how, err)
		}
		if _, err := open("own/file/below"); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: below a file: %v", how, err)
		}
	}
}

func TestFileOfTerabytesCostsNoMemory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deploy_a.py")
	if err := os.WriteFile(path, []byte("BANNER = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4<<40); err != nil {
		t.Skipf("this file system has no such files: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadFile(path, 16<<20)
	runtime.ReadMemStats(&after)
	var large *TooLargeError
	if !errors.As(err, &large) || err.Error() != path+": 4 TiB, at most 16 MiB are read" {
		t.Errorf("%v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 { // other tests run beside
		t.Errorf("%d bytes were allocated", used)
	}
}

func TestFileAtTheBoundIsReadAndOneByteMoreIsNot(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345678"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadFile(path, 8); string(text) != "12345678" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ReadFile(path, 7); err == nil || !strings.HasSuffix(err.Error(), "8 bytes, at most 7 bytes are read") {
		t.Errorf("%v", err)
	}
	if text, err := ReadStart(path, 3); string(text) != "123" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := ReadStart("/proc/self/status", 1<<20); len(text) < 100 || err != nil {
		t.Errorf("%d bytes of a file of the kernel's, %v", len(text), err)
	}
}
