package listener

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func leadsTo(t *testing.T, path string, l *Listener) {
	t.Helper()
	before, err := l.QueueLen()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := connect(path)
	if err != nil {
		t.Fatalf("connect %s: %v", path, err)
	}
	defer unix.Close(fd)
	if after, _ := l.QueueLen(); after != before+1 {
		t.Errorf("%s leads elsewhere: queue %d, then %d", path, before, after)
	}
}

func TestTakeMovesTheNameAndLeavesTheOldHolderNameless(t *testing.T) {
	t.Parallel()
	dir := short(t)
	public := filepath.Join(dir, "s")
	old, l := mustBind(t, public), mustBind(t, public+".next")
	if err := l.Take(public); err != nil {
		t.Fatal(err)
	}
	if l.Path() != public || !l.Named() || old.Named() {
		t.Errorf("path %s, named %v, old named %v", l.Path(), l.Named(), old.Named())
	}
	leadsTo(t, public, l)
	if _, err := os.Lstat(public + ".next"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the staging name is still there: %v", err)
	}
	if err := old.Unlink(); err != nil {
		t.Error(err)
	}
	if !l.Named() {
		t.Error("the old holder removed its successor's name")
	}
	if err := l.Unlink(); err != nil {
		t.Error(err)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left %q", n)
	}
}

func TestTakeWorksWithoutTheOwnName(t *testing.T) {
	t.Parallel()
	public := filepath.Join(short(t), "s")
	l := mustBind(t, public+".next")
	if err := os.Remove(public + ".next"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the name right
		if err := l.Take(public); err != nil {
			t.Fatal(err)
		}
		leadsTo(t, public, l)
	}
}

func TestTakeOfAFurtherLinkOfItselfLeavesOneName(t *testing.T) {
	t.Parallel()
	dir := short(t)
	public := filepath.Join(dir, "s")
	l := mustBind(t, public+".next")
	if err := os.Link(public+".next", public); err != nil {
		t.Fatal(err)
	}
	if err := l.Take(public); err != nil {
		t.Fatal(err)
	}
	if n := names(t, dir); len(n) != 2 || !l.Named() { // and the spare
		t.Errorf("names %q", n)
	}
}

func TestNameGoesToTheNextAndBack(t *testing.T) {
	t.Parallel()
	dir := short(t)
	public := filepath.Join(dir, "s")
	first := mustBind(t, public)
	second := mustBind(t, public+".next")
	if err := second.Take(public); err != nil {
		t.Fatal(err)
	}
	leadsTo(t, public, second)
	if err := first.Take(public); err != nil { // it has its spare only
		t.Fatal(err)
	}
	leadsTo(t, public, first)
	if second.Named() || !first.Named() {
		t.Error("both or neither have the name")
	}
}

func TestNoConnectFailsDuringAThousandTakes(t *testing.T) {
	t.Parallel()
	dir := short(t)
	public := filepath.Join(dir, "s")
	serving := mustBind(t, public)
	standby := mustBind(t, public+".standby")
	defer takeAll(t, serving)()
	defer takeAll(t, standby)()

	var wg sync.WaitGroup
	var connects atomic.Int64
	stop := make(chan struct{})
	defer wg.Wait()
	defer close(stop)
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("unix", public)
				if errors.Is(err, unix.EAGAIN) {
					continue // our own accept loops were too slow: the queue was full, not absent
				}
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				c.Close()
				connects.Add(1)
			}
		})
	}
	eventually(t, "both goroutines connect", func() bool { return connects.Load() > 2 })
	for i := range 1000 {
		if err := standby.Take(public); err != nil {
			t.Fatalf("take %d: %v", i, err)
		}
		// Every other time it had a name of its own until then, as a candidate on its staging
		// socket.
		serving, standby = standby, serving
		if i%2 == 0 {
			standby.mu.Lock()
			standby.path = public + ".standby"
			err := standby.restore()
			standby.mu.Unlock()
			if err != nil {
				t.Fatalf("take %d: %v", i, err)
			}
		}
	}
	t.Logf("%d connects", connects.Load())
}

func TestLostNameIsNoticedAndPutBack(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(string) error{
		"removed": os.Remove,
		"renamed": func(p string) error { return os.Rename(p, p+".moved") },
		"replaced": func(p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			_, err := net.Listen("unix", p) // what `gunicorn --bind unix:PATH` does
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public := filepath.Join(short(t), "s")
			l := mustBind(t, public)
			if err := harm(public); err != nil {
				t.Fatal(err)
			}
			if l.Named() {
				t.Error("the loss was not noticed")
			}
			if err := l.Restore(); err != nil {
				t.Fatal(err)
			}
			if !l.Named() {
				t.Error("not named after Restore")
			}
			leadsTo(t, public, l)
		})
	}
}

// A server that removes at its end what getsockname tells it removes the spare.
func TestLostSpareIsMadeAgain(t *testing.T) {
	t.Parallel()
	public := filepath.Join(short(t), "s")
	l := mustBind(t, public)
	sa, err := unix.Getsockname(l.fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(sa.(*unix.SockaddrUnix).Name); err != nil {
		t.Fatal(err)
	}
	if !l.Named() {
		t.Error("the public name went with it")
	}
	if err := l.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(); err != nil {
		t.Fatal(err)
	}
	leadsTo(t, public, l)
}

func TestRestoreLeavesWhatIsNoSocketAndSaysSo(t *testing.T) {
	t.Parallel()
	public := filepath.Join(short(t), "s")
	l := mustBind(t, public)
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(); !errors.Is(err, os.ErrExist) {
		t.Errorf("restore over a file: %v", err)
	}
}

func TestRestoreWithoutSpareSaysThatOnlyANewSocketHelps(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l := mustBind(t, filepath.Join(dir, "s"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(); !errors.Is(err, ErrNoSpare) {
		t.Errorf("restore: %v", err)
	}
	if err := l.Close(); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestTidyRemovesOnlyDeadSpares(t *testing.T) {
	t.Parallel()
	dir := short(t)
	alive := mustBind(t, filepath.Join(dir, "alive"))
	gone := mustBind(t, filepath.Join(dir, "gone"))
	if err := os.Link(gone.spare, gone.spare+asideSuffix); err != nil {
		t.Fatal(err)
	}
	gone.file.Close() // as a kill of the supervisor and its children does: nothing is unlinked
	unix.Close(gone.fd)
	gone.closed = true
	if err := os.WriteFile(filepath.Join(dir, ".notes.12"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Tidy(dir); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{".notes.12": true, "alive": true, "gone": true, filepath.Base(alive.spare): true}
	got := names(t, dir)
	for _, n := range got {
		if !want[n] {
			t.Errorf("%s is still there", n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("names %q", got)
	}
	if n, err := alive.QueueLen(); n != 0 || err != nil {
		t.Errorf("a live listener met a client: %d, %v", n, err)
	}
	if err := Tidy(filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestSpareOfAnEarlierBootDoesNotStopABind(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &Listener{fd: fd, path: path}
	defer l.Close()
	if err := l.identify(); err != nil {
		t.Fatal(err)
	}
	spare := filepath.Join(dir, spareName(path, l.inode))
	old, err := net.Listen("unix", spare)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.bindTo(spare); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("took the name of a live socket: %v", err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	if err := l.bindTo(spare); err != nil {
		t.Error(err)
	}
}
