package supervisor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/dashboard"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
)

// frontRetry is how long the front waits for an address that is taken.
const frontRetry = 3 * time.Second

// frontDrain is how long requests in flight may take when the front moves or stops.
const frontDrain = 30 * time.Second

// frontend is the embedded front, with the dashboard behind it, as the file has them. Only the
// supervisor's own goroutine changes it.
type frontend struct {
	log   hclog.Logger
	past  Past
	api   *Supervisor // what the dashboard shows
	front *front.Front
	run   atomic.Pointer[frontRun] // nil: there is no front
	page  *dashboardPage           // nil: there is none
	tasks *sync.WaitGroup
}

func newFrontend(log hclog.Logger, past Past, api *Supervisor) *frontend {
	return &frontend{log: log, past: past, api: api, front: front.New(log.Named("front")), tasks: &api.tasks}
}

// apply makes the front follow cfg.
func (f *frontend) apply(cfg *config.Config) {
	f.front.SetRoutes(append(routes(cfg), f.dashboardRoute(cfg.Supervisor)...))
	run := f.run.Load()
	switch addr := cfg.Supervisor.Front; {
	case run == nil && addr == "", run != nil && run.addr == addr:
		return
	case addr == "":
		f.end()
	default:
		f.end()
		ctx, cancel := context.WithCancel(context.Background())
		run := &frontRun{addr: addr, end: cancel, ln: f.past.Front(addr)}
		f.run.Store(run)
		f.tasks.Go(func() { f.serve(ctx, run) })
	}
}

// end ends the front, and says whether there was one.
func (f *frontend) end() bool {
	run := f.run.Swap(nil)
	if run != nil {
		run.end()
	}
	return run != nil
}

func (f *frontend) counts() control.FrontCounts { return control.FrontCounts(f.front.Stats()) }

func routes(cfg *config.Config) []front.Route {
	var all []front.Route
	for _, b := range cfg.Builds {
		if b.Location != "" {
			all = append(all, front.Route{Build: b.Name, Location: b.Location, Socket: cfg.Socket(b.Name)})
		}
	}
	return all
}

// frontRun is the front at one address. Its socket outlasts what is served on it: while nothing is,
// clients wait in its queue.
type frontRun struct {
	addr string
	end  context.CancelFunc // closes the socket too

	mu     sync.Mutex
	ln     net.Listener       // nil: not open yet
	stop   context.CancelFunc // of what is served now; nil: nothing
	idle   chan struct{}      // closed when no request of that is under way any more
	halted chan struct{}      // not nil: nothing is to be served until it is closed
}

// serve serves run until ctx ends. An address that is taken is tried again: what Nginx serves must
// not suffer from it.
func (f *frontend) serve(ctx context.Context, run *frontRun) {
	defer run.close()
	said := ""
	for {
		err := run.open(ctx)
		if err == nil {
			err = f.serveOnce(ctx, run)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // it was paused
		}
		if err.Error() != said {
			said = err.Error()
			f.log.Error("front cannot serve, it is tried again", "address", run.addr, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(frontRetry):
		}
	}
}

// open makes the socket, where it is not there.
func (r *frontRun) open(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln != nil {
		return nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.addr)
	r.ln = ln
	return err
}

func (r *frontRun) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln != nil {
		r.ln.Close() // nothing was written to it
		r.ln = nil
	}
}

// serveOnce serves until ctx ends or it is halted, and where it is, waits until
// that is over.
func (f *frontend) serveOnce(ctx context.Context, run *frontRun) error {
	served, stop := context.WithCancel(ctx)
	defer stop()
	idle := make(chan struct{})
	run.mu.Lock()
	if halted := run.halted; halted != nil {
		run.mu.Unlock()
		select {
		case <-halted:
		case <-ctx.Done():
		}
		return nil
	}
	ln, err := duplicate(run.ln)
	if err != nil {
		run.mu.Unlock()
		return err
	}
	run.stop, run.idle = stop, idle
	run.mu.Unlock()
	f.log.Info("front listens", "address", ln.Addr().String())
	err = f.front.Serve(served, ln, frontDrain)
	run.mu.Lock()
	run.stop = nil
	run.mu.Unlock()
	close(idle)
	if served.Err() == nil { // the socket broke
		run.close()
		return err
	}
	if err != nil {
		f.log.Warn("requests under way did not end in time", "error", err)
	}
	return nil
}

// duplicate makes a listener whose end leaves ln open.
func duplicate(ln net.Listener) (net.Listener, error) {
	f, err := fileOf(ln)
	if err != nil {
		return nil, err
	}
	defer f.Close() // net.FileListener has its own
	return net.FileListener(f)
}

func fileOf(ln net.Listener) (*os.File, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("front listens on a %T", ln)
	}
	return tcp.File()
}

// halt lets the requests under way end, and accepts no others until goOn is called: clients wait in
// the queue. The error is ctx's, before all have ended.
func (r *frontRun) halt(ctx context.Context) (goOn func(), err error) {
	halted := make(chan struct{})
	r.mu.Lock()
	r.halted = halted
	stop, idle := r.stop, r.idle
	r.mu.Unlock()
	goOn = sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.halted = nil
		close(halted)
	})
	if stop == nil {
		return goOn, nil
	}
	stop()
	select {
	case <-idle:
		return goOn, nil
	case <-ctx.Done():
		return goOn, ctx.Err()
	}
}

// keep returns a descriptor of the socket for the program that is executed in our place; nil where
// there is none. The caller closes it.
func (r *frontRun) keep() (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln == nil {
		return nil, nil
	}
	return fileOf(r.ln)
}

// dashboardPage is the dashboard as the file has it.
type dashboardPage struct {
	path, token string
	handler     http.Handler
	end         context.CancelFunc // of its streams
}

// dashboardRoute is the front's route to the dashboard, where there is one. An edit that moves it or
// takes it away ends what it streams; any other leaves that alone.
func (f *frontend) dashboardRoute(c config.Supervisor) []front.Route {
	if p := f.page; p != nil && (p.path != c.Dashboard || p.token != c.DashboardWrite) {
		p.end()
		f.page = nil
	}
	if c.Dashboard == "" {
		return nil
	}
	if f.page == nil {
		f.page = f.newDashboard(c.Dashboard, c.DashboardWrite)
	}
	return []front.Route{{Build: "the dashboard", Location: c.Dashboard, Handler: f.page.handler}}
}

func (f *frontend) newDashboard(path, token string) *dashboardPage {
	o := dashboard.Options{API: control.NewHandler(f.api, f.api.metrics, f.log.Named("dashboard"))}
	if token != "" {
		o.Token = func() (string, error) { return config.ReadToken(token) } // anew each time: it may be changed
	}
	page := dashboard.New(o)
	life, end := context.WithCancel(context.Background())
	return &dashboardPage{path: path, token: token, end: end, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		page.ServeHTTP(w, r.WithContext(ctx))
	})}
}
