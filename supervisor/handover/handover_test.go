package handover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests are not parallel: descriptors are the process's, and their numbers are used again.

// file returns the descriptor of a file of its own, which is closed at the test's end unless it is
// by then.
func file(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "f"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	return cleaned(t, fd, err)
}

// inotify returns a descriptor that watches something.
func inotify(t *testing.T) int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, t.TempDir(), unix.IN_CREATE)
	}
	return cleaned(t, fd, err)
}

func cleaned(t *testing.T, fd int, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Readlink(ownFDs + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if now, err := os.Readlink(ownFDs + strconv.Itoa(fd)); err == nil && now == before {
			unix.Close(fd)
		}
	})
	return fd
}

// is says whether a descriptor is open, and whether it survives an exec.
func is(fd int) (open, survives bool) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil, err == nil && flags&unix.FD_CLOEXEC == 0
}

func wants(t *testing.T, when string, open, survives bool, fds ...int) {
	t.Helper()
	for _, fd := range fds {
		if o, s := is(fd); o != open || s != survives {
			t.Errorf("%s: descriptor %d is open %v, survives an exec %v, want %v and %v", when, fd, o, s, open, survives)
		}
	}
}

// reread takes what Keep kept, without an exec: of the memfd, which then has two owners, a copy.
func reread(t *testing.T, entry string) (Handover, error) {
	t.Helper()
	fd, err := strconv.Atoi(strings.TrimPrefix(entry, key+"="))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	h, rest, err := Take([]string{"A=1", key + "=" + strconv.Itoa(mine), "B=2"})
	if !slices.Equal(rest, []string{"A=1", "B=2"}) {
		t.Errorf("the environment is %q then", rest)
	}
	if open, _ := is(mine); open {
		t.Error("what it was read from is still open")
	}
	return h, err
}

// written is a memfd with text, and the entry that names it.
func written(t *testing.T, text string) []string {
	t.Helper()
	fd, err := unix.MemfdCreate("handover", 0)
	if err == nil {
		_, err = unix.Write(fd, []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return []string{key + "=" + strconv.Itoa(fd)}
}

func TestAllThatWasGivenIsTakenOnce(t *testing.T) {
	lock, control, front, dashboard, metrics := file(t), file(t), file(t), file(t), file(t)
	public, ending, other, watch := file(t), file(t), file(t), inotify(t)
	given := Handover{
		From: "1.4.0", Lock: lock, Control: control, Front: Front{"127.0.0.1:8080", front},
		Dashboard:    Front{"127.0.0.1:8081", dashboard},
		Metrics:      Front{"127.0.0.1:9105", metrics},
		Sockets:      []Socket{{"one", "/r/one/gunicorn.sock", public}, {"two", "/r/two/gunicorn.sock", other}, {"one", "/r/one/gunicorn.sock.next", ending}},
		Interpreters: json.RawMessage(`{"python3":{"Version":"3.11"}}`), Cgroups: []string{"/sys/fs/cgroup/a"},
		Watches: []int{watch},
	}
	all := []int{lock, control, front, dashboard, metrics, public, ending, other, watch}
	entry, undo, err := given.Keep(Newest)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "kept", true, true, all...)
	h, err := reread(t, entry)
	if err != nil || h.Version == 0 {
		t.Fatalf("given %v: %v", h.Version > 0, err)
	}
	undo()
	wants(t, "taken", true, false, all...)
	if h.From != given.From || string(h.Interpreters) != string(given.Interpreters) || !slices.Equal(h.Cgroups, given.Cgroups) {
		t.Errorf("the facts are %q, %s, %q", h.From, h.Interpreters, h.Cgroups)
	}
	for what, c := range map[string]struct {
		take func() *os.File
		fd   int
	}{
		"lock":      {h.TakeLock, lock},
		"control":   {h.TakeControl, control},
		"front":     {func() *os.File { return h.TakeFront("127.0.0.1:8080") }, front},
		"dashboard": {func() *os.File { return h.TakeDashboard("127.0.0.1:8081") }, dashboard},
		"metrics":   {func() *os.File { return h.TakeMetrics("127.0.0.1:9105") }, metrics},
	} {
		if what == "front" && h.TakeFront("127.0.0.1:8081") != nil {
			t.Error("the front of another address was taken")
		}
		if f := c.take(); f == nil || int(f.Fd()) != c.fd || f.Close() != nil {
			t.Errorf("%s: taken is %v, want descriptor %d", what, f, c.fd)
		}
		if c.take() != nil {
			t.Errorf("%s was taken twice", what)
		}
	}
	if got := h.TakeSockets("one"); !reflect.DeepEqual(got, []Socket{given.Sockets[0], given.Sockets[2]}) {
		t.Errorf("the sockets of one are %v", got)
	}
	if got := append(h.TakeSockets("one"), h.TakeSockets("three")...); got != nil {
		t.Errorf("sockets %v were taken twice", got)
	}
	h.Drop()
	h.Drop()
	wants(t, "dropped", false, false, other)
	wants(t, "taken before the rest was dropped", true, false, public, ending)
	wants(t, "before there are watches of one's own", true, false, watch)
	h.CloseWatches()
	h.CloseWatches()
	h.WatchesClosed()
	wants(t, "watches are closed", false, false, watch)
}

func TestFrontThatNobodyTookIsDropped(t *testing.T) {
	front, dashboard, metrics := file(t), file(t), file(t)
	h := Handover{Front: Front{"127.0.0.1:1", front}, Dashboard: Front{"127.0.0.1:2", dashboard}, Metrics: Front{"127.0.0.1:3", metrics}}
	if h.TakeFront("") != nil || h.TakeMetrics("127.0.0.1:2") != nil {
		t.Error("taken by who has none")
	}
	h.Drop()
	wants(t, "dropped", false, false, front, dashboard, metrics)
	if h.TakeFront("127.0.0.1:1") != nil {
		t.Error("taken after it was closed")
	}
}

func TestZeroHandoverHasNothing(t *testing.T) {
	environ := []string{"A=1", "MEDCTRL_HANDOVERS=3"}
	h, rest, err := Take(environ)
	if err != nil || !slices.Equal(rest, environ) {
		t.Errorf("environment %q, %v", rest, err)
	}
	if h.Version > 0 || h.TakeLock() != nil || h.TakeControl() != nil || h.TakeFront("") != nil || h.TakeSockets("") != nil ||
		h.Interpreters != nil || h.Cgroups != nil {
		t.Errorf("it has something: %+v", h)
	}
	h.Drop()
	h.CloseWatches()
	h.WatchesClosed()
	entry, undo, err := Handover{}.Keep(Newest)
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	if h, err := reread(t, entry); err != nil || h.TakeLock() != nil || h.TakeSockets("") != nil || h.Interpreters != nil {
		t.Errorf("given and taken it is %+v, %v", h, err)
	}
}

// What supervisors of these versions wrote and read before this package was: an upgrade in place
// from any of them, and back to it, loses nothing.
func TestTextIsThatOfTheVersionsBefore(t *testing.T) {
	lock, control, front, dashboard, metrics, socket, watch := file(t), file(t), file(t), file(t), file(t), file(t), inotify(t)
	const form = `{"Version":%d,"From":"1.3.0","Lock":%d,"Control":%d,"Front":{"Address":"127.0.0.1:8080","FD":%d},%s` +
		`"Sockets":[{"Build":"one","Path":"/r/one/gunicorn.sock","FD":%d}],` +
		`"Interpreters":{"python3":{"Path":"/usr/bin/python3","Version":"3.11","Pip":null,"Sites":null}},"Cgroups":["/sys/fs/cgroup/a"],"Watches":%s}`
	given := Handover{
		From: "1.3.0", Lock: lock, Control: control, Front: Front{"127.0.0.1:8080", front},
		Dashboard:    Front{"127.0.0.1:8081", dashboard},
		Metrics:      Front{"127.0.0.1:9105", metrics},
		Sockets:      []Socket{{"one", "/r/one/gunicorn.sock", socket}},
		Interpreters: json.RawMessage(`{"python3":{"Path":"/usr/bin/python3","Version":"3.11","Pip":null,"Sites":null}}`),
		Cgroups:      []string{"/sys/fs/cgroup/a"}, Watches: []int{watch},
	}
	const aside = `"Dashboard":{"Address":"127.0.0.1:8081","FD":%d},`
	watches := fmt.Sprintf("[%d]", watch)
	for newest, want := range map[int]string{
		1: fmt.Sprintf(form, 1, lock, control, front, "", socket, "null"),                             // it would not close them
		2: fmt.Sprintf(form, 2, lock, control, front, "", socket, watches),                            // nor the dashboard's socket
		3: fmt.Sprintf(form, 3, lock, control, front, fmt.Sprintf(aside, dashboard), socket, watches), // nor that of the metrics
		9: fmt.Sprintf(form, 4, lock, control, front, fmt.Sprintf(aside+`"Metrics":{"Address":"127.0.0.1:9105","FD":%d},`, dashboard, metrics), socket, watches),
	} {
		entry, undo, err := given.Keep(newest)
		if err != nil {
			t.Fatal(err)
		}
		if _, survives := is(watch); survives != (newest >= 2) {
			t.Errorf("version %d: the watch survives: %v", newest, survives)
		}
		if _, survives := is(dashboard); survives != (newest >= 3) {
			t.Errorf("version %d: the dashboard's socket survives: %v", newest, survives)
		}
		if _, survives := is(metrics); survives != (newest >= 4) {
			t.Errorf("version %d: the socket of the metrics survives: %v", newest, survives)
		}
		fd := strings.TrimPrefix(entry, "MEDCTRL_HANDOVER=")
		text, err := os.ReadFile(ownFDs + fd)
		if err != nil || string(text) != want {
			t.Errorf("version %d is written as\n%s, %v, want\n%s", newest, text, err, want)
		}
		undo()
		wants(t, "undone", true, false, lock, control, front, socket, watch)
	}
	// Version 1 knew neither cgroups nor watches.
	old := fmt.Sprintf(`{"Version":1,"From":"1.2.0","Lock":%d,"Control":0,"Front":{"Address":"","FD":0},"Sockets":null,"Interpreters":null}`, lock)
	h, _, err := Take(written(t, old))
	if err != nil || h.From != "1.2.0" || h.Interpreters != nil || h.TakeControl() != nil || h.TakeSockets("one") != nil {
		t.Errorf("version 1 is read as %+v, %v", h, err)
	}
	h.WatchesClosed()
	if f := h.TakeLock(); f == nil || int(f.Fd()) != lock {
		t.Errorf("its lock is %v", f)
	} else {
		f.Close()
	}
}

func TestHandoverThatCannotBeReadIsNone(t *testing.T) {
	notOpen := strconv.Itoa(file(t) + 1000)
	for name, environ := range map[string][]string{
		"no number":         {key + "=x"},
		"empty":             {key + "="},
		"standard output":   {key + "=1"},
		"not open":          {key + "=" + notOpen},
		"no JSON":           written(t, "x"),
		"nothing":           written(t, ""),
		"no version":        written(t, `{"Lock":3}`),
		"a later version":   written(t, fmt.Sprintf(`{"Version":%d,"Lock":3}`, Newest+1)),
		"a negative number": {key + "=-1"},
	} {
		h, rest, err := Take(environ)
		if err == nil || h.Version > 0 || h.TakeLock() != nil || len(rest) != 0 {
			t.Errorf("%s: %+v, environment %q, %v", name, h, rest, err)
		}
		h.WatchesClosed()
	}
}

func TestDescriptorThatIsNotOpenCostsOnlyItself(t *testing.T) {
	lock, socket := file(t), file(t)
	text := fmt.Sprintf(`{"Version":2,"Lock":%d,"Control":1,"Front":{"Address":"a","FD":%d},"Sockets":[`+
		`{"Build":"one","Path":"/gone","FD":%d},{"Build":"one","Path":"/there","FD":%d}],"Watches":[%d]}`, lock, 1<<20, 1<<20+1, socket, 1<<20+2)
	h, _, err := Take(written(t, text))
	if err == nil {
		t.Fatal("all was taken over, it says")
	}
	for _, want := range []string{"control socket, descriptor 1:", "front", "/gone"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "/there") || strings.Contains(err.Error(), "lock") {
		t.Errorf("the error names what is there: %v", err)
	}
	if h.TakeControl() != nil || h.TakeFront("a") != nil || len(h.TakeSockets("one")) != 1 {
		t.Errorf("what is not open was taken: %+v", h)
	}
	if f := h.TakeLock(); f == nil || f.Close() != nil {
		t.Error("the lock is lost")
	}
	unix.Close(socket)
	h.WatchesClosed() // there are none
	wants(t, "standard output", true, true, 1)
}

func TestSuccessorClosesWatchesAndNothingThatHasTheirNumbers(t *testing.T) {
	watch, other := inotify(t), file(t)
	listed := Watches()
	if !slices.Contains(listed, watch) || slices.Contains(listed, other) {
		t.Fatalf("%v are watches, of %d and the file %d", listed, watch, other)
	}
	// One that had been closed when the successor began, whose number something else has.
	entry, undo, err := Handover{Watches: []int{other, watch}}.Keep(Newest)
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	h, err := reread(t, entry)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		h.WatchesClosed()
		if open, _ := is(watch); open {
			t.Error("they are said to be closed before they are")
		}
	}()
	wants(t, "before the successor has its own", true, false, watch)
	h.CloseWatches()
	<-closed
	if open, _ := is(watch); open {
		t.Error("the watch is still open")
	}
	if open, _ := is(other); !open {
		t.Error("what has the number of a watch that was closed was closed too")
	}
}

func TestHandoverThatCannotBeKeptIsTakenBack(t *testing.T) {
	lock, watch := file(t), inotify(t)
	for name, c := range map[string]struct {
		give   Handover
		newest int
	}{
		"a descriptor is not open":   {Handover{Lock: lock, Watches: []int{watch, 1 << 20}}, Newest},
		"facts are no JSON":          {Handover{Lock: lock, Interpreters: json.RawMessage("x")}, Newest},
		"the successor is too old":   {Handover{Lock: lock}, Oldest - 1},
		"the socket is not open yet": {Handover{Lock: lock, Sockets: []Socket{{"one", "/p", 1 << 20}}}, Newest},
	} {
		if _, _, err := c.give.Keep(c.newest); err == nil {
			t.Errorf("%s: it was kept", name)
		}
		wants(t, name, true, false, lock, watch)
	}
}

// Where the next one could not watch anything, this one's watches end with its program.
func TestWatchesAreNotGivenWhereThereIsNoRoomForOthers(t *testing.T) {
	inotify(t)
	inotify(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowest := file(t)
	tight := limit
	tight.Cur = uint64(lowest) + 1 // room to list them, and for one other
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight); err != nil {
		t.Fatal(err)
	}
	unix.Close(lowest)
	got := Watches()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if got != nil {
		t.Errorf("%v are given", got)
	}
	if got := Watches(); len(got) < 2 {
		t.Errorf("where there is room, %v are given", got)
	}
}

// Through a real exec, after which nothing of it may reach a program that is started.
func TestHandoverOutlivesAnExec(t *testing.T) {
	out, err := asProgram(t, "give")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "socket of one: said through the socket\nlock: written in the lock\nleft for others: \n"; out != want {
		t.Errorf("the successor says\n%s, want\n%s", out, want)
	}
}

// give and take are the two programs of that.
func give() error {
	lock, err := os.CreateTemp("", "lock")
	if err != nil {
		return err
	}
	defer os.Remove(lock.Name())
	if err := os.Remove(lock.Name()); err != nil {
		return err
	}
	if _, err := lock.WriteString("written in the lock"); err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if _, err := unix.Write(pair[0], []byte("said through the socket")); err != nil {
		return err
	}
	if err := unix.Shutdown(pair[0], unix.SHUT_WR); err != nil {
		return err
	}
	h := Handover{From: "1", Lock: int(lock.Fd()), Sockets: []Socket{{"one", "/p", pair[1]}}, Watches: Watches()}
	entry, undo, err := h.Keep(Newest)
	if err != nil {
		return err
	}
	defer undo()
	return unix.Exec("/proc/self/exe", []string{os.Args[0], "take"}, append(os.Environ(), entry))
}

func take() error {
	h, environ, err := Take(os.Environ())
	if err != nil {
		return err
	}
	for _, s := range h.TakeSockets("one") {
		text, err := io.ReadAll(os.NewFile(uintptr(s.FD), s.Path))
		if err != nil {
			return err
		}
		fmt.Printf("socket of %s: %s\n", s.Build, text)
	}
	lock := h.TakeLock()
	var text bytes.Buffer
	if _, err := text.ReadFrom(io.NewSectionReader(lock, 0, 1<<10)); err != nil {
		return err
	}
	fmt.Printf("lock: %s\n", &text)
	h.Drop()
	h.CloseWatches()
	h.WatchesClosed()
	if err := lsof(environ); err != nil {
		return err
	}
	return lock.Close()
}
