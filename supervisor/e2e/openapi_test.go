package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// described checks every response of a supervisor against docs/openapi.yaml.
type described struct {
	t      *testing.T
	w      *World
	client *http.Client
	doc    *openapi3.T
	router routers.Router
	seen   map[string]bool // "GET /v1/status 200"
}

func describe(t *testing.T, w *World) *described {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join("..", "..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.Root, ".supervisor", "control.sock"))
	}}
	return &described{t, w, &http.Client{Transport: transport}, doc, router, map[string]bool{}}
}

// ask sends a request, checks it and the response against the file, and returns the body.
func (d *described) ask(method, path string, want int) string {
	d.t.Helper()
	return d.send(method, path, nil, want)
}

func (d *described) send(method, path string, body []byte, want int) string {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://supervisor"+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if bytes.HasPrefix(body, []byte("{")) {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := d.client.Do(r)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && !strings.HasSuffix(path, "/upgrade") { // which ends its connections
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode != want {
		d.t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, want, text)
	}
	r.Body = io.NopCloser(bytes.NewReader(nil))
	if r.Header.Get("Content-Type") != "" {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	route, vars, err := d.router.FindRoute(r)
	if err != nil {
		d.t.Fatalf("%s %s is not described: %v", method, path, err)
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: vars, Route: route}
	if err := openapi3filter.ValidateRequest(d.t.Context(), in); err != nil && want < 400 {
		d.t.Errorf("%s %s is accepted and is not as described: %v", method, path, err)
	}
	err = openapi3filter.ValidateResponse(d.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: want, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		d.t.Errorf("%s %s has a response that is not as described: %v", method, path, err)
	}
	switch kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); kind {
	case "application/x-ndjson":
		for line := range strings.Lines(string(text)) {
			if strings.HasSuffix(path, "/run") {
				d.is("Task", line)
				continue
			}
			d.is("Step", line)
		}
	case "text/event-stream":
		for line := range strings.Lines(string(text)) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				d.is("Event", data)
			}
		}
	}
	d.seen[fmt.Sprint(method, " ", route.Path, " ", want)] = true
	return string(text)
}

// is checks a piece of JSON against a schema.
func (d *described) is(schema, text string) {
	d.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		d.t.Errorf("%q: %v", text, err)
		return
	}
	if err := d.doc.Components.Schemas[schema].Value.VisitJSON(v); err != nil {
		d.t.Errorf("%s is not a %s: %v", text, schema, err)
	}
}

// elsewhere lists responses that cannot be produced here.
var elsewhere = []string{
	" 403", // for another user, who cannot reach the socket: see the tests of supervisor/control
}

// all fails for each described response that was not seen.
func (d *described) all() {
	d.t.Helper()
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for code := range op.Responses.Map() {
				what := method + " " + path + " " + code
				if !d.seen[what] && !slices.ContainsFunc(elsewhere, func(end string) bool { return strings.HasSuffix(what, end) }) {
					d.t.Errorf("%s is described and was never seen", what)
				}
			}
		}
	}
}

func TestTheAPIAnswersAsItsDescriptionSays(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1"), Entry("two", "workers = 1"))
	w.OwnProgram()
	w.Supervisor = []string{fmt.Sprintf("dashboard = %q", FreeAddr(t))}
	w.WriteConfig()
	w.Serve("one", "two")
	d := describe(t, w)
	d.ask("GET", "/v1/status", 200)
	d.ask("GET", "/v1/builds/one", 200)
	d.ask("GET", "/v1/builds/nobody", 404)
	for _, action := range []string{"restart", "rebuild", "rollback", "stop"} {
		if last := lastLine(d.ask("POST", "/v1/builds/one/"+action, 200)); !strings.Contains(last, `"result":"done"`) {
			t.Errorf("%s: %s", action, last)
		}
		d.ask("GET", "/v1/builds/one", 200) // releases that ended, and why
	}
	d.ask("GET", "/v1/status", 200)
	d.ask("POST", "/v1/builds/one/start?wait=no", 200)
	d.ask("POST", "/v1/builds/nobody/start", 404)
	d.ask("POST", "/v1/builds/one/rollback?to=never", 422)
	d.send("POST", "/v1/builds/one/start", make([]byte, 100<<10), 413)
	w.WaitState("one", "running")

	w.SaveSettings("two", "raise RuntimeError('broken on purpose')", RenameOver)
	w.WaitStatus("two", "a release that does not take over", func(b BuildStatus) bool { return b.Reason != "" || b.BuildError != "" })
	d.ask("GET", "/v1/builds/two", 200)
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))

	for _, query := range []string{"", "?lines=5", "?lines=1000&since=2026-01-01T00:00:00Z", "?build=1"} {
		if d.ask("GET", "/v1/logs/one"+query, 200) == "" {
			t.Errorf("the log%s is empty", query)
		}
	}
	d.ask("GET", "/v1/logs/one?lines=many", 400)
	d.ask("GET", "/v1/logs/one?since=yesterday", 400)
	d.ask("GET", "/v1/logs/nobody", 404)
	if events := d.ask("GET", "/v1/events?follow=0", 200); !strings.Contains(events, `"exited"`) {
		t.Errorf("no exit in %s", events)
	}
	d.ask("GET", "/v1/events?follow=maybe", 400)
	task := lastLine(d.send("POST", "/v1/builds/one/run", []byte(`{"argv": ["sh", "-c", "exit 3"]}`), 200))
	var ended struct {
		ID   string
		Code int
	}
	if err := json.Unmarshal([]byte(task), &ended); err != nil || ended.Code != 3 {
		t.Errorf("%s: %v", task, err)
	}
	d.send("POST", "/v1/builds/one/run", []byte(`{"argv": "sh"}`), 400)
	d.send("POST", "/v1/builds/nobody/run", []byte(`{"argv": ["true"]}`), 404)
	d.send("POST", "/v1/builds/one/run", []byte(`{"argv": ["true"], "release": "never"}`), 422)
	d.ask("POST", "/v1/builds/one/tasks/"+ended.ID+"/attend", 200)
	d.ask("POST", "/v1/builds/one/tasks/run.never/attend", 404)
	d.ask("POST", "/v1/builds/one/tasks/"+ended.ID+"/signal?signal=NEVER", 400)
	d.ask("POST", "/v1/builds/one/tasks/"+ended.ID+"/signal?signal=INT", 404)
	sleeps := w.RunOnce(t, "one", "sleep", "60")
	w.taskPid("one")
	d.ask("GET", "/v1/status", 200)
	var status Status
	if err := json.Unmarshal([]byte(d.ask("GET", "/v1/status", 200)), &status); err != nil || len(status.Build("one").Tasks) != 1 {
		t.Fatalf("%+v, %v", status, err)
	}
	d.ask("POST", "/v1/builds/one/tasks/"+status.Build("one").Tasks[0].ID+"/signal?signal=INT", 200)
	sleeps.Ends(128 + 2)
	d.ask("GET", "/metrics", 200)
	Eventually(t, patience, "a sample of the builds", func() (bool, string) {
		text := d.ask("GET", "/v1/samples", 200)
		return strings.Contains(text, `"latency_seconds"`), text
	})

	d.ask("POST", "/v1/reload?dry_run=1", 200)
	d.ask("POST", "/v1/reload?dry_run=maybe", 400)
	w.Replace(w.File, "/two", "two", RenameOver)
	Eventually(t, patience, "the bad file to be seen", func() (bool, string) {
		s, err := w.Status()
		return err == nil && s.Config.Error != "", fmt.Sprint(s.Config, err)
	})
	d.ask("GET", "/v1/status", 200)
	d.ask("GET", "/v1/status?usage=no", 200)
	d.ask("GET", "/v1/status?usage=maybe", 400)
	d.ask("POST", "/v1/reload", 422)
	d.ask("POST", "/v1/upgrade", 422) // with a file that the new one does not accept
	w.WriteConfig()
	d.ask("POST", "/v1/reload", 200)
	d.ask("POST", "/v1/upgrade", 200)
	d.ask("GET", "/v1/status", 200)
	d.all()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
