package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
)

// Backend is what the API talks to. Its methods are called concurrently.
type Backend interface {
	// Status returns at once. With usage it measures what builds use, otherwise it reports the last
	// measurement.
	Status(usage bool) Status
	// Detail returns everything known about one build.
	Detail(name string) (BuildDetail, error)
	// Samples returns how the builds did in the last hour.
	Samples() Samples
	// Reload reads the file again and returns what changes; dryRun changes nothing.
	Reload(ctx context.Context, dryRun bool) (changes []string, err error)
	// Act starts, stops, restarts, rebuilds or rolls back a build, and returns when the result
	// holds or cannot. It returns when ctx ends, which ends the waiting, not the action. The API
	// responds with 404 to errors that wrap ErrNoBuild or ErrNoAction.
	Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (Outcome, error)
	// Deploy has what is in a build's source now built, where it has changed, and returns when it
	// serves, or the reason why it does not. Otherwise it is as Act.
	Deploy(ctx context.Context, name string, wait bool, progress func(string)) (Deployed, error)
	// Upgrade executes the new program in our place, and so returns only if that fails; progress is
	// told what it waits for.
	Upgrade(ctx context.Context, progress func(string)) error
	// Events returns the feed of past and new events, always the same one.
	Events() *Feed
	// Log calls each with the last lines of a build's output, and with new ones if q says so, until
	// ctx ends or each returns an error.
	Log(ctx context.Context, name string, q LogQuery, each func([]byte) error) error
	Tasks
}

// LogQuery says which part of a log is wanted.
type LogQuery struct {
	Lines  int  // how many of the last lines
	Follow bool // and new ones
	Build  bool // output of the last attempt instead of the server's
	// Schedule is one of the build's, whose runs' output is wanted instead of the server's; "": none.
	Schedule string
	Since    time.Time // only lines written since then; zero: all
	Until    time.Time // only lines written before then; zero: all
	// Match is what lines have to match; nil: anything.
	Match *regexp.Regexp
	// Records asks for a LogLine as JSON a line, and with Follow for an empty line before what is new.
	Records bool
}

// Errors of a Backend to which the API responds with 404.
var (
	ErrNoBuild    = errors.New("no such build")
	ErrNoAction   = errors.New("no such action")
	ErrNoSchedule = errors.New("no such schedule")
)

// MaxLines is how many lines a LogQuery may ask for.
const MaxLines = 10_000

const (
	headerTimeout = 5 * time.Second  // for a request's head
	bodyTimeout   = 5 * time.Second  // for a request's body
	idleTimeout   = 60 * time.Second // between two requests of a connection
	writeTimeout  = 10 * time.Second // for a client to accept a piece of a response
	endTimeout    = time.Second      // for responses under way when Serve is to end
	maxBody       = 64 << 10
	maxHeader     = 16 << 10
	defaultLines  = 100
)

// Serve serves the API on a socket until ctx ends, then closes and removes it. It returns early,
// with an error, if the socket breaks. All its goroutines have ended when it returns.
func Serve(ctx context.Context, ln *Socket, b Backend, m *Metrics, log hclog.Logger) error {
	return serve(ctx, ln, &api{backend: b, metrics: m, log: log, guard: ln.access().guard, life: ctx, ending: ctx.Done()})
}

// NewHandler returns the same API for clients that do not come over the socket; the caller decides
// who may do what, and says who it is (WithWho).
func NewHandler(b Backend, m *Metrics, log hclog.Logger) http.Handler {
	forever := context.Background()
	return &api{backend: b, metrics: m, log: log, guard: everybody, life: forever, ending: forever.Done()}
}

func everybody(ctx context.Context, write bool) (context.Context, error) { return ctx, nil }

func serve(ctx context.Context, ln net.Listener, a *api) error {
	base, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	// Every connection's goroutine, and so every request. The listener's goroutine
	// adds, so nothing is added once it has ended.
	var conns sync.WaitGroup
	commanding, looking := shares(maxConns())
	// Whoever may only look has connections of their own, so that they keep nobody out who commands.
	admitted := &admitting{Listener: ln, commanders: bound.Set{Refuse: bound.Unavailable}, lookers: bound.Set{Refuse: bound.Unavailable}}
	admitted.commanders.Limit(bound.Limits{Total: commanding})
	admitted.lookers.Limit(bound.Limits{Total: looking})
	server := &http.Server{
		Handler: a,
		ConnState: func(c net.Conn, s http.ConnState) {
			track(bound.Of(c), s)
			switch s {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed:
				conns.Done()
			}
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, bound.Of(c).Conn)
		},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          a.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(admitted) }()
	select {
	case err := <-serving:
		cutOff()
		server.Close() // the error of Serve is the one to report
		conns.Wait()
		return fmt.Errorf("serve control socket %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(base, endTimeout)
	defer cancel()
	server.Shutdown(deadline) // remaining requests are cut off below
	cutOff()
	server.Close() // nothing is left to be graceful about
	<-serving
	conns.Wait()
	return nil
}

// admitting accepts the clients for whom there is room.
type admitting struct {
	net.Listener
	commanders, lookers bound.Set
}

func (l *admitting) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		set := &l.lookers
		if _, may := conn.(*handing); may {
			set = &l.commanders
		}
		if admitted := set.Admit(conn); admitted != nil {
			return admitted, nil
		}
	}
}

// MaxConns is how many clients may be connected to the control socket at once, of a process that may
// open so many descriptors.
func MaxConns(descriptors int) int { return min(max(descriptors/4, 16), 320) }

// shares divides the connections among those who may command and those who may only look.
func shares(conns int) (commanding, looking int) { return conns - conns/5, conns / 5 }

// maxConns is MaxConns of this process.
func maxConns() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return MaxConns(0)
	}
	return MaxConns(int(min(limit.Cur, 1<<20)))
}

// track keeps the state of a connection: one that is not being served makes room for another.
func track(c *bound.Conn, s http.ConnState) {
	switch s {
	case http.StateActive:
		c.Becomes(bound.Working)
	case http.StateIdle:
		c.Becomes(bound.Idle)
	}
}

// api is the HTTP side of a Backend.
type api struct {
	backend Backend
	metrics *Metrics
	log     hclog.Logger
	// guard returns the context of a request with its caller (Who), or why they may not read, or
	// write.
	guard  func(ctx context.Context, write bool) (context.Context, error)
	life   context.Context           // Serve's
	ending <-chan struct{}           // closed when Serve is to end: all streams stop
	shown  func(event []byte) []byte // what is sent in place of an event's JSON; nil: itself
}

// ServeHTTP handles one request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	route := func(want ...string) bool {
		return slices.EqualFunc(path, want, func(got, want string) bool { return want == "*" && got != "" || got == want })
	}
	switch {
	case route("v1", "status"):
		a.get(w, r, a.status)
	case route("metrics"):
		a.get(w, r, a.metrics.ServeHTTP)
	case route("v1", "events"):
		a.get(w, r, a.events)
	case route("v1", "logs", "*"):
		a.get(w, r, func(w http.ResponseWriter, r *http.Request) { a.logs(w, r, path[2]) })
	case route("v1", "samples"):
		a.get(w, r, a.samples)
	case route("v1", "builds", "*"):
		a.get(w, r, func(w http.ResponseWriter, _ *http.Request) { a.detail(w, path[2]) })
	case route("v1", "reload"):
		a.post(w, r, a.reload)
	case route("v1", "upgrade"):
		a.post(w, r, func(w http.ResponseWriter, r *http.Request) { a.follow(w, r, a.backend.Upgrade) })
	case route("v1", "builds", "*", "run"):
		a.run(w, r, path[2])
	case route("v1", "builds", "*", "tasks", "*", "*"):
		a.post(w, r, func(w http.ResponseWriter, r *http.Request) { a.tasks(w, r, path[2], path[4], path[5]) })
	case route("v1", "builds", "*", "*"):
		a.post(w, r, func(w http.ResponseWriter, r *http.Request) { a.act(w, r, path[2], path[3]) })
	case route("v1", "builds", "", "*"):
		refuse(w, http.StatusBadRequest, fmt.Sprintf("%s of which build? POST to /v1/builds/NAME/%s, once for each build", path[3], path[3]))
	default:
		refuse(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
	}
}

// permitted returns the context of a request by that method from a client who may do what it asks for,
// changes included where write is true. Every other has got its response.
func (a *api) permitted(w http.ResponseWriter, r *http.Request, method string, write bool) (ctx context.Context, ok bool) {
	if r.Method != method {
		w.Header().Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, r.URL.Path+" takes "+method)
		return nil, false
	}
	ctx, err := a.guard(r.Context(), write)
	if err != nil {
		refuse(w, http.StatusForbidden, err.Error())
		return nil, false
	}
	return ctx, true
}

func (a *api) get(w http.ResponseWriter, r *http.Request, then http.HandlerFunc) {
	if ctx, ok := a.permitted(w, r, http.MethodGet, false); ok {
		then(w, r.WithContext(ctx))
	}
}

// post lets only writers pass, and reads and discards the body: arguments are in the query.
func (a *api) post(w http.ResponseWriter, r *http.Request, then http.HandlerFunc) {
	ctx, ok := a.permitted(w, r, http.MethodPost, true)
	if !ok {
		return
	}
	// Without deadlines (dropped errors: a test's recorder has none) the body's
	// size still bounds what a client costs.
	conn := http.NewResponseController(w)
	conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	conn.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody))
		return
	case err != nil:
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "the body is incomplete")
		return
	}
	then(w, r.WithContext(ctx))
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	usage := true
	if text := r.URL.Query().Get("usage"); text != "" {
		var err error
		if usage, err = truth(text); err != nil {
			refuse(w, http.StatusBadRequest, "usage: "+err.Error())
			return
		}
	}
	answer(w, http.StatusOK, a.backend.Status(usage))
}

// samples sends those of all builds, or of the one that is named.
func (a *api) samples(w http.ResponseWriter, r *http.Request) {
	all := a.backend.Samples()
	if only := r.URL.Query().Get("build"); only != "" {
		one, known := all.Builds[only]
		if !known {
			refuse(w, http.StatusNotFound, fmt.Sprintf("%v: %q", ErrNoBuild, only))
			return
		}
		all.Builds = map[string][]Sample{only: one}
	}
	answer(w, http.StatusOK, all)
}

func (a *api) detail(w http.ResponseWriter, name string) {
	d, err := a.backend.Detail(name)
	if err != nil {
		refuse(w, statusOf(err), err.Error())
		return
	}
	answer(w, http.StatusOK, d)
}

func (a *api) logs(w http.ResponseWriter, r *http.Request, name string) {
	lines := defaultLines
	if given := r.URL.Query().Get("lines"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 0 || n > MaxLines {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("lines=%s: want a whole number from 0 to %d", given, MaxLines))
			return
		}
		lines = n
	}
	q := LogQuery{Lines: lines}
	for key, field := range map[string]*bool{"follow": &q.Follow, "build": &q.Build} {
		var err error
		if *field, err = truth(r.URL.Query().Get(key)); err != nil {
			refuse(w, http.StatusBadRequest, key+": "+err.Error())
			return
		}
	}
	q.Schedule = r.URL.Query().Get("schedule")
	if q.Build && q.Schedule != "" {
		refuse(w, http.StatusBadRequest, "build and schedule: want one of the two")
		return
	}
	if err := q.which(r.URL.Query()); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	kind := "text/plain; charset=utf-8"
	if q.Records {
		kind = "application/x-ndjson"
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(a.life, cancel) // streams stop when Serve is to end
	defer stop()
	begun := false
	conn := http.NewResponseController(w)
	begin := func() {
		begun = true
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	err := a.backend.Log(ctx, name, q, func(text []byte) error {
		if !begun {
			begin()
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // dropped: a test's recorder has none
		_, err := w.Write(text)
		return errors.Join(err, conn.Flush())
	})
	switch {
	case begun: // a client that has gone needs no response, and others see the stream end
	case err != nil:
		refuse(w, statusOf(err), err.Error())
	default:
		begin() // it is empty
	}
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) {
	dry, err := truth(r.URL.Query().Get("dry_run"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "dry_run: "+err.Error())
		return
	}
	changes, err := a.backend.Reload(r.Context(), dry)
	if err != nil {
		refuse(w, statusOf(err), err.Error())
		return
	}
	if changes == nil {
		changes = []string{}
	}
	answer(w, http.StatusOK, map[string][]string{"changes": changes})
}

func truth(text string) (bool, error) {
	switch text {
	case "", "0", "no", "false":
		return false, nil
	case "1", "yes", "true":
		return true, nil
	}
	return false, fmt.Errorf("want 0 or 1, got %q", text)
}

// step is a line of the response to an action.
type step struct {
	Progress string    `json:"progress,omitempty"`
	Result   string    `json:"result,omitempty"`
	Deployed *Deployed `json:"deployed,omitempty"` // with the result of a deploy that was waited for
	Outcome
	Error string `json:"error,omitempty"`
}

func (a *api) act(w http.ResponseWriter, r *http.Request, name, action string) {
	args := map[string]string{}
	for key, values := range r.URL.Query() {
		args[key] = values[len(values)-1]
	}
	a.log.Debug("action requested", "build", name, "action", action, "by", Who(r.Context()))
	if action == "deploy" {
		wait := args["wait"] != "no"
		a.followTo(w, r, func(ctx context.Context, progress func(string)) (step, error) {
			d, err := a.backend.Deploy(ctx, name, wait, progress)
			if err != nil || !wait {
				return step{}, err
			}
			return step{Deployed: &d}, nil
		})
		return
	}
	a.followTo(w, r, func(ctx context.Context, progress func(string)) (step, error) {
		o, err := a.backend.Act(ctx, name, action, args, progress)
		return step{Outcome: o}, err
	})
}

// follow responds with a line for each step that do reports, and with its result.
func (a *api) follow(w http.ResponseWriter, r *http.Request, do func(context.Context, func(string)) error) {
	a.followTo(w, r, func(ctx context.Context, progress func(string)) (step, error) { return step{}, do(ctx, progress) })
}

// followTo is follow of what may have more to say of its result.
func (a *api) followTo(w http.ResponseWriter, r *http.Request, do func(context.Context, func(string)) (step, error)) {
	var mu sync.Mutex // progress may come from any goroutine of the backend
	begun, ended := false, false
	conn := http.NewResponseController(w)
	say := func(s step) {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		// Errors are dropped: r's context, which Act gets, ends when the client has gone.
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		json.NewEncoder(w).Encode(s)
		conn.Flush()
		conn.SetWriteDeadline(time.Time{})
	}
	last, err := do(r.Context(), func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			say(step{Progress: line})
		}
	})
	mu.Lock()
	defer mu.Unlock()
	ended = true
	cutOff(r.Context(), err)
	switch {
	case err == nil:
		last.Result = "done"
		say(last)
	case begun:
		say(step{Error: err.Error()})
	default:
		refuse(w, statusOf(err), err.Error())
	}
}

// statusOf returns the HTTP status for an error of the backend.
func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrNoBuild), errors.Is(err, ErrNoAction), errors.Is(err, ErrNoTask), errors.Is(err, ErrNoSchedule):
		return http.StatusNotFound
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable // the supervisor is ending
	}
	return http.StatusUnprocessableEntity
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error": "the response cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	conn := http.NewResponseController(w)
	conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // dropped: a test's recorder has none
	w.WriteHeader(status)
	w.Write(append(text, '\n')) // dropped error: a client that has gone needs no response
	conn.Flush()
	conn.SetWriteDeadline(time.Time{})
}
