package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fake is a Backend with one build, "development".
type fake struct {
	mu        sync.Mutex
	feed      *Feed
	reloadErr error
	acted     []string
	hold      chan struct{} // if set, Act waits for it, or for its ctx
	tasks     map[string]*fakeTask
	ran       []RunRequest
	release   string // of development; "": r1
}

func (f *fake) Detail(name string) (BuildDetail, error) {
	for _, b := range f.Status(true).Builds {
		if b.Name == name {
			return BuildDetail{Status: b}, nil
		}
	}
	return BuildDetail{}, fmt.Errorf("%w: %q", ErrNoBuild, name)
}

func (f *fake) Samples() Samples {
	return Samples{Every: 30, Builds: map[string][]Sample{"development": {{Memory: 1}}, "new": {{Memory: 2}}}}
}

func (f *fake) Status(bool) Status {
	at := time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.FixedZone("CET", 3600))
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{Version: "1.4.0", Pid: 812, Started: at, Config: ConfigStatus{Path: "builds.toml", Loaded: at},
		Builds: []BuildStatus{{Name: "development", State: "running", Release: cmp.Or(f.release, "r1"), Pid: 913, Since: at, Healthy: true,
			Socket: "/opt/medctrl/backend/development/gunicorn.sock", Location: "/api", Releases: []string{"r1"}}, {Name: "new", State: "building"}}}
}

// fakeSource is a Source with each kind of build.
type fakeSource struct{}

func (fakeSource) Status(usage bool) Status {
	st := (&fake{}).Status(usage)
	st.Builds[0].Replicas = Replicas{Want: 2, Ready: 1, Pids: []int{913}}
	st.Builds[0].Schedules = []ScheduleStatus{{Name: "nightly", Next: time.Unix(1_800_000_000, 0), LastSuccess: time.Unix(1_700_000_000, 0)}}
	st.Builds[0].Processes = []ProcessStatus{{Name: "worker", State: ProcessRunning, Pid: 914, Restarts: 3}, {Name: "worker", Index: 1, State: ProcessBackoff, Restarts: 4}}
	return st
}

func (fakeSource) Usage(context.Context) []Usage {
	return []Usage{{Build: "development", Queue: 3, Processes: 3, Memory: 1 << 20, CPU: 1500 * time.Millisecond, LastGood: time.Unix(1_700_000_000, 0),
		Beside: []ProcessUsage{{Name: "worker", Want: 2, Memory: 1 << 19, CPU: time.Second}, {Name: "beat", Want: 1}}}}
}

func (fakeSource) FrontCounts() FrontCounts {
	return FrontCounts{Requests: 10, Unrouted: 1, Retried: 2, Refused: 3, Lost: 1, Builds: []Requests{{Build: "development", Codes: map[string]uint64{"2xx": 4, "5xx": 1}, Cut: 1,
		Waits: []time.Duration{100 * time.Millisecond, time.Second}, Took: []uint64{2, 1, 2}, Sum: 5 * time.Second}}}
}

func (f *fake) Reload(_ context.Context, dryRun bool) ([]string, error) {
	if f.reloadErr != nil {
		return nil, f.reloadErr
	}
	return []string{fmt.Sprintf("dry run: %v", dryRun)}, nil
}

func (f *fake) Upgrade(ctx context.Context, progress func(string)) error {
	progress("checking")
	if f.hold != nil {
		<-f.hold // an exec would end the connection here
		panic(http.ErrAbortHandler)
	}
	return errors.New("it does not accept the file")
}

func (f *fake) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (Outcome, error) {
	if name != "development" {
		return Outcome{}, fmt.Errorf("%w: %q is not in builds.toml", ErrNoBuild, name)
	}
	f.mu.Lock()
	f.acted = append(f.acted, action)
	if args["upgraded"] == "done" {
		f.release = "r0"
	}
	f.mu.Unlock()
	if args["upgraded"] != "" && f.times(action) == 1 {
		if args["upgraded"] == "said" {
			progress("step 1 of 2")
		}
		panic(http.ErrAbortHandler) // an exec would end the connection here
	}
	switch action {
	case "rebuild":
		progress("step 1 of 2")
		progress("step 2 of 2")
		if args["fail"] != "" {
			return Outcome{}, errors.New("install: exit code 1")
		}
	case "rollback":
		if args["upgraded"] != "" {
			return Outcome{}, nil
		}
		return Outcome{}, errors.New("release " + args["to"] + " is not kept")
	case "restart":
		progress("draining")
		select {
		case <-f.hold:
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	case "stop":
		return Outcome{Already: true}, nil
	default:
		return Outcome{}, fmt.Errorf("%w: %q", ErrNoAction, action)
	}
	return Outcome{}, nil
}

func (f *fake) times(action string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.acted {
		if a == action {
			n++
		}
	}
	return n
}

func (f *fake) Deploy(_ context.Context, name string, wait bool, progress func(string)) (Deployed, error) {
	switch {
	case name != "development":
		return Deployed{}, fmt.Errorf("%w: %q is not in builds.toml", ErrNoBuild, name)
	case !wait:
		return Deployed{}, nil
	}
	progress("building: API/views.py changed")
	return Deployed{Release: "r2", From: "r1", Changed: true, Because: []string{"API/views.py changed"}, Took: 4.1, NoneLost: true,
		Commit: &Commit{Hash: "abc", Branch: "main", Time: time.Unix(1e9, 0)}}, nil
}

func (f *fake) Events() *Feed { return f.feed }

func (f *fake) Log(ctx context.Context, name string, q LogQuery, each func([]byte) error) error {
	if name != "development" {
		return fmt.Errorf("%w: %q", ErrNoBuild, name)
	}
	if err := each([]byte(fmt.Sprintf("one\n\n%d %v\n", q.Lines, q.Build))); err != nil || !q.Follow {
		return err
	}
	if err := each([]byte("more\n")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s: " + what)
		}
		<-time.After(time.Millisecond)
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start serves a fake until the test ends.
func start(t *testing.T) (*fake, Client) {
	t.Helper()
	f := &fake{feed: NewFeed(nil)}
	path := filepath.Join(shortDir(t), ".supervisor", "control.sock")
	stop := startAt(t, path, f)
	t.Cleanup(stop)
	return f, Client{Socket: path}
}

func startAt(t *testing.T, path string, b Backend) (stop func()) {
	t.Helper()
	ln, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, b)
}

func serveOn(t *testing.T, ln *Socket, b Backend) (stop func()) {
	t.Helper()
	return serveWith(t, ln, b, NewMetrics("1.4.0", fakeSource{}))
}

func serveWith(t *testing.T, ln *Socket, b Backend, m *Metrics) (stop func()) {
	t.Helper()
	path := ln.path
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, b, m, hclog.NewNullLogger()) }()
	eventually(t, "the control socket responds", func() bool {
		select {
		case err := <-done:
			t.Fatalf("Serve: %v", err)
		default:
		}
		_, err := Client{Socket: path}.Status(ctx)
		return err == nil
	})
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// raw sends a request as it is and returns status and body.
func raw(t *testing.T, c Client, request string) (int, string) {
	t.Helper()
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestStatusHasTheContractsKeys(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	code, text := raw(t, c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
	want := `{"version":"1.4.0","pid":812,"started":"2026-11-23T09:00:00Z","config":{"path":"builds.toml","loaded":"2026-11-23T09:00:00Z","error":""},` +
		`"front":{"address":"","trouble":""},"dashboard":{"address":"","trouble":""},"metrics":{"address":"","trouble":""},"log":{"address":"","trouble":""},` +
		`"builds":[{"name":"development","state":"running","reason":"","release":"r1","pid":913,"since":"2026-11-23T09:00:00Z","restarts":0,"restarts_by_hand":0,"last_exit":"",` +
		`"socket":"/opt/medctrl/backend/development/gunicorn.sock","location":"/api","healthy":true,"building":false,"build_error":"","pinned":false,"releases":["r1"],"memory":0,"cpu":0,"queue":0,"sandbox":false,"limits":{"core":0},"replicas":{"want":0,"ready":0,"pids":null},"schedules":[]},` +
		`{"name":"new","state":"building","reason":"","release":"","pid":0,"since":"0001-01-01T00:00:00Z","restarts":0,"restarts_by_hand":0,"last_exit":"","socket":"","location":"",` +
		`"healthy":false,"building":false,"build_error":"","pinned":false,"releases":[],"memory":0,"cpu":0,"queue":0,"sandbox":false,"limits":{"core":0},"replicas":{"want":0,"ready":0,"pids":null},"schedules":[]}]}` + "\n"
	if code != 200 || text != want {
		t.Errorf("%d\n%s\nwant\n%s", code, text, want)
	}
	got, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(got); string(again)+"\n" != want {
		t.Errorf("the client's status prints as\n%s", again)
	}
}

func TestNothingIsNeverNull(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Status{})
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s %v", text, err)
	}
}

func TestErrorsAreJSONWithTheRightStatus(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	f.reloadErr = errors.New("builds.toml:14:11: workers: want a whole number")
	for request, want := range map[string]int{
		"GET /": 404, "GET /v1": 404, "GET /v1/": 404, "GET /v1/statusx": 404, "GET /v1/logs/": 404, "GET /v1/logs/nobody": 404,
		"POST /v1/status": 405, "PUT /v1/builds/development/stop": 405, "GET /v1/reload": 405, "DELETE /v1/events": 405,
		"GET /v1/logs/development?lines=x": 400, "GET /v1/logs/development?lines=-1": 400, "GET /v1/logs/development?lines=10001": 400,
		"POST /v1/reload?dry_run=maybe": 400, "GET /v1/events?follow=maybe": 400, "POST /v1/reload": 422,
		"POST /v1/builds/nobody/stop": 404, "POST /v1/builds/development/explode": 404, "POST /v1/builds/development": 405, "GET /v1/builds/nobody": 404, "GET /v1/builds/": 404,
		"POST /v1/builds/development/rollback?to=r0": 422, "POST /v1/builds//rollback": 400,
	} {
		code, text := raw(t, c, request+" HTTP/1.1\r\nHost: x\r\n\r\n")
		var said map[string]string
		if err := json.Unmarshal([]byte(text), &said); code != want || err != nil || said["error"] == "" {
			t.Errorf("%s: %d %q, want %d and an error in JSON", request, code, text, want)
		}
	}
	if len(f.acted) != 2 { // explode and rollback, which only the backend refuses
		t.Errorf("acted: %v", f.acted)
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	large := strings.Repeat("x", maxBody+1)
	if code, _ := raw(t, c, fmt.Sprintf("POST /v1/builds/development/stop HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large)); code != 413 {
		t.Errorf("a large body: %d", code)
	}
	if code, _ := raw(t, c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: "+large+"\r\n\r\n"); code != 431 {
		t.Errorf("a large head: %d", code)
	}
	if len(f.acted) != 0 {
		t.Errorf("acted: %v", f.acted)
	}
}

func TestOnlyRootAndOurselvesMayWrite(t *testing.T) {
	t.Parallel()
	f := &fake{feed: NewFeed(nil)}
	path := filepath.Join(shortDir(t), "c")
	ln, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	guard := func(ctx context.Context, write bool) (context.Context, error) {
		ctx, err := ln.access().guard(ctx, write)
		if err != nil {
			t.Errorf("our own user is refused: %v", err)
		}
		if write {
			err = errors.New("user 33 may not do this")
		}
		return ctx, err
	}
	a := &api{backend: f, log: hclog.NewNullLogger(), life: ctx, ending: ctx.Done(), guard: guard}
	go func() { done <- serve(ctx, ln, a) }()
	c := Client{Socket: path}
	var refused *Error
	if _, err := c.Act(ctx, "development", "stop", nil, nil); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("Act: %v", err)
	}
	if _, err := c.Reload(ctx, true); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("Reload: %v", err)
	}
	if _, err := c.Status(ctx); err != nil {
		t.Errorf("Status: %v", err)
	}
	if len(f.acted) != 0 {
		t.Errorf("acted: %v", f.acted)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDeployReturnsWhatHasComeOfIt(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	var said []string
	d, err := c.Deploy(t.Context(), "development", true, func(line string) { said = append(said, line) })
	if err != nil || d.Release != "r2" || d.From != "r1" || !d.Changed || !d.NoneLost || d.Took != 4.1 || len(d.Because) != 1 || d.Commit == nil || d.Commit.Branch != "main" ||
		!slices.Equal(said, []string{"building: API/views.py changed"}) {
		t.Errorf("%+v, %v, progress %q", d, err, said)
	}
	if d, err := c.Deploy(t.Context(), "development", false, nil); err != nil || d.Release != "" {
		t.Errorf("where it is not waited for: %+v, %v", d, err)
	}
	var refused *Error
	if _, err := c.Deploy(t.Context(), "nobody", true, nil); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("of a build that is not there: %v", err)
	}
}

func TestActionShowsItsProgressAndItsResult(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	var said []string
	note := func(line string) { said = append(said, line) }
	if _, err := c.Act(t.Context(), "development", "rebuild", nil, note); err != nil {
		t.Fatal(err)
	}
	if want := []string{"step 1 of 2", "step 2 of 2"}; !reflect.DeepEqual(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
	if _, err := c.Act(t.Context(), "development", "rebuild", map[string]string{"fail": "1"}, nil); err == nil || err.Error() != "install: exit code 1" {
		t.Errorf("failing rebuild: %v", err)
	}
	if _, err := c.Act(t.Context(), "development", "rollback", map[string]string{"to": "r 0&"}, nil); err == nil || err.Error() != "release r 0& is not kept" {
		t.Errorf("rollback: %v", err)
	}
}

func TestReloadTellsWhatChangesOrWhyNot(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	for _, dry := range []bool{true, false} {
		if got, err := c.Reload(t.Context(), dry); err != nil || len(got) != 1 || got[0] != fmt.Sprintf("dry run: %v", dry) {
			t.Errorf("%q, %v", got, err)
		}
	}
	f.reloadErr = errors.New("builds.toml:1:1: a\nbuilds.toml:2:1: b")
	if _, err := c.Reload(t.Context(), false); err == nil || err.Error() != f.reloadErr.Error() {
		t.Errorf("bad file: %v", err)
	}
}

func TestLogComesLineByLine(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	var text strings.Builder
	each := func(b []byte) error { text.Write(b); return nil }
	if err := c.Log(t.Context(), "development", LogQuery{Lines: 7, Build: true}, each); err != nil || text.String() != "one\n\n7 true\n" {
		t.Errorf("%q, %v", text.String(), err)
	}
	var refused *Error
	if err := c.Log(t.Context(), "no/body", LogQuery{Lines: 7}, each); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("unknown build: %v", err)
	}
}

func TestErrorsOfTheConnectionSayWhatToDo(t *testing.T) {
	t.Parallel()
	c := Client{Socket: "/r/control.sock", File: "/etc/builds.toml"}
	for _, want := range []struct {
		err  error
		says []string
	}{
		{fs.ErrNotExist, []string{"no supervisor is running", "no socket at /r/control.sock, the path that follows from /etc/builds.toml", "-c /etc/builds.toml"}},
		{syscall.ECONNREFUSED, []string{"no supervisor is running", "nothing listens on /r/control.sock"}},
		{fs.ErrPermission, []string{"/r/control.sock: permission denied", "as root"}},
		{context.DeadlineExceeded, []string{"/r/control.sock", "does not respond", "see its log"}},
	} {
		for _, text := range want.says {
			if got := c.explain(want.err).Error(); !strings.Contains(got, text) {
				t.Errorf("%v: %q does not say %q", want.err, got, text)
			}
		}
	}
	if got := (Client{Socket: "/s"}).explain(fs.ErrNotExist).Error(); !strings.Contains(got, "no socket at /s: start one with `medctrl-supervisor -c FILE`") {
		t.Errorf("without a file: %q", got)
	}
}
