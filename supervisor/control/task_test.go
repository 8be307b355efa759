package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Run is a command that copies its input to its output, and then ends with the code that is its first
// argument.
func (f *fake) Run(ctx context.Context, name string, r RunRequest) (TaskStatus, error) {
	if name != "development" {
		closeAll(r.Streams)
		return TaskStatus{}, fmt.Errorf("%w: %q is not in builds.toml", ErrNoBuild, name)
	}
	t := &fakeTask{TaskStatus: TaskStatus{ID: r.ID, Kind: "run", Name: r.Argv[0], Pid: os.Getpid(), By: Who(ctx), Started: time.Now()}, ended: make(chan struct{})}
	f.mu.Lock()
	if f.tasks == nil {
		f.tasks = map[string]*fakeTask{}
	}
	f.tasks[r.ID] = t
	f.ran = append(f.ran, r)
	f.mu.Unlock()
	go func() {
		if len(r.Streams) == 3 {
			io.Copy(r.Streams[1], r.Streams[0])
			fmt.Fprint(r.Streams[2], "the end")
			closeAll(r.Streams)
		}
		if r.Argv[0] != "hang" {
			t.end("exit code 7", 7)
		}
	}()
	return t.TaskStatus, nil
}

type fakeTask struct {
	TaskStatus
	ended chan struct{}
	left  bool
}

func (t *fakeTask) end(how string, code int) {
	t.Ended, t.Exit, t.Code = time.Now(), how, code
	close(t.ended)
}

func (f *fake) Attend(ctx context.Context, name, id string) (TaskStatus, error) {
	f.mu.Lock()
	t := f.tasks[id]
	f.mu.Unlock()
	if t == nil {
		return TaskStatus{}, fmt.Errorf("%w: %s", ErrNoTask, id)
	}
	select {
	case <-t.ended:
		return t.TaskStatus, nil
	case <-ctx.Done():
		f.mu.Lock()
		t.left = true
		f.mu.Unlock()
		return TaskStatus{}, ctx.Err()
	}
}

func (f *fake) SignalTask(_ context.Context, name, id string, sig syscall.Signal) error {
	f.mu.Lock()
	t := f.tasks[id]
	f.mu.Unlock()
	if t == nil {
		return fmt.Errorf("%w: %s", ErrNoTask, id)
	}
	t.end("killed by "+unix.SignalName(sig), -1)
	return nil
}

// pipes are the streams of a command: what it reads, prints, and prints as errors.
func pipes(t *testing.T) (streams []*os.File, in, out, errOut *os.File) {
	t.Helper()
	var ends []*os.File
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeAll([]*os.File{r, w}) })
		ends = append(ends, r, w)
	}
	return []*os.File{ends[0], ends[3], ends[5]}, ends[1], ends[2], ends[4]
}

func TestACommandGetsTheStreamsOfItsCaller(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	streams, in, out, errOut := pipes(t)
	begun := make(chan TaskStatus, 1)
	go func() {
		<-begun
		closeAll(streams) // what we hold would keep us from seeing its end
		io.WriteString(in, "typed")
		in.Close()
	}()
	ask := RunRequest{ID: "run.x", Argv: []string{"cat", strings.Repeat("long", 20_000)}, Release: "r1", Term: "xterm", Terminal: true, Streams: streams}
	ended, err := c.Run(t.Context(), "development", ask, func(s TaskStatus) { begun <- s })
	if err != nil || ended.Code != 7 || ended.Exit != "exit code 7" || ended.By == "" {
		t.Errorf("%+v, %v", ended, err)
	}
	for r, want := range map[*os.File]string{out: "typed", errOut: "the end"} {
		if got, err := io.ReadAll(r); string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	if r := f.ran[0]; r.ID != ask.ID || len(r.Argv[1]) != 80_000 || r.Release != "r1" || r.Term != "xterm" || !r.Terminal || len(r.Streams) != 3 {
		t.Errorf("%.200v", r)
	}
	if again, err := c.Attend(t.Context(), "development", "run.x"); err != nil || again.Code != 7 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestACallerWhoGoesLeavesTheCommand(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Run(ctx, "development", RunRequest{ID: "run.x", Argv: []string{"hang"}}, func(TaskStatus) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "it is left", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.tasks["run.x"].left
	})
	if err := c.SignalTask(t.Context(), "development", "run.x", syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if ended, err := c.Attend(t.Context(), "development", "run.x"); err != nil || ended.Exit != "killed by SIGINT" {
		t.Errorf("%+v, %v", ended, err)
	}
}

func TestACommandThatCannotBeRunIsRefused(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	status := func(err error) int {
		var e *Error
		if !errors.As(err, &e) {
			t.Error(err)
			return 0
		}
		return e.Status
	}
	_, err := c.Run(t.Context(), "nobody", RunRequest{Argv: []string{"true"}}, func(TaskStatus) {})
	if status(err) != http.StatusNotFound {
		t.Error(err)
	}
	if _, err = c.Attend(t.Context(), "development", "run.x"); status(err) != http.StatusNotFound {
		t.Error(err)
	}
	if err = c.SignalTask(t.Context(), "development", "run.x", syscall.SIGINT); status(err) != http.StatusNotFound {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll([]*os.File{r, w})
	_, err = c.Run(t.Context(), "development", RunRequest{Argv: []string{"true"}, Streams: []*os.File{r, w}}, func(TaskStatus) {})
	if status(err) != http.StatusBadRequest || !strings.Contains(err.Error(), "2 descriptors") {
		t.Error(err)
	}
}

// The dashboard serves the same API to whoever has its token: no commands.
func TestCommandsAreRunOverTheControlSocketOnly(t *testing.T) {
	t.Parallel()
	h := NewHandler(&fake{feed: NewFeed(nil)}, NewMetrics("1", fakeSource{}), nil)
	for _, path := range []string{"/v1/builds/development/run", "/v1/builds/development/tasks/run.x/attend", "/v1/builds/development/tasks/run.x/signal?signal=KILL"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"argv": ["true"]}`)))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), errNotHere) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/builds/development/run", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A client who may only look cannot make us hold descriptors: they are not even read.
func TestDescriptorsAreTakenFromWhoMayWriteOnly(t *testing.T) {
	t.Parallel()
	for own, want := range map[int]bool{os.Geteuid(): true, os.Geteuid() + 1: os.Geteuid() == 0} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var conns []net.Conn
		for _, fd := range fds {
			file := os.NewFile(uintptr(fd), "")
			conn, err := net.FileConn(file)
			if file.Close(); err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns = append(conns, conn)
		}
		conn := mayHand(conns[0], access{own: own})
		h, is := conn.(*handing)
		if is != want {
			t.Fatalf("of user %d: %T", own, conn)
		}
		if !is {
			continue
		}
		for range 2 { // as much as fits, once more
			if _, _, err := conns[1].(*net.UnixConn).WriteMsgUnix([]byte("x"), unix.UnixRights(0, 1), nil); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 10)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if got := h.take(); len(got) != mostHanded {
			t.Errorf("%d descriptors", len(got))
		} else {
			closeAll(got)
		}
		if n, err := conn.Read(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
		conns[1].Close()
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	}
}

func TestTermIsTheNameOfATerminal(t *testing.T) {
	t.Parallel()
	for term, want := range map[string]bool{"xterm-256color": true, "screen.xterm": true, "rxvt+x": true, "": false, "a b": false, "../x": false, "x\n": false, strings.Repeat("x", 65): false} {
		if IsTerm(term) != want {
			t.Errorf("%q: %v", term, !want)
		}
	}
}

func TestTaskIsShownWithWhatItHas(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(TaskStatus{ID: "run.x", Kind: "run", Pid: 7})
	if want := `{"id":"run.x","kind":"run","name":"","release":"","pid":7,"by":"","started":"0001-01-01T00:00:00Z"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
