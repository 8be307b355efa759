package supervisor

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/dashboard"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// frontend is the embedded front, with the dashboard behind it, as the file has them. Only the
// supervisor's own goroutine changes it.
type frontend struct {
	log   hclog.Logger
	past  world.Past
	hold  world.Holder
	api   *Supervisor // the source of what the dashboard shows
	front *front.Front
	place atomic.Pointer[front.Place] // where it is; nil: there is no front
	page  *dashboardPage              // nil: there is none
	tasks *sync.WaitGroup
}

func newFrontend(log hclog.Logger, past world.Past, hold world.Holder, api *Supervisor) *frontend {
	return &frontend{log: log, past: past, hold: hold, api: api, front: front.New(log.Named("front")), tasks: &api.tasks}
}

// apply makes the front follow cfg.
func (f *frontend) apply(cfg *config.Config) {
	f.front.SetRoutes(append(routes(cfg), f.dashboardRoute(cfg.Supervisor)...))
	place, addr := f.place.Load(), cfg.Supervisor.Front
	if place == nil && addr == "" || place != nil && place.Address() == addr {
		return
	}
	f.end()
	if addr != "" {
		place := f.front.At(addr, f.past.Front(addr))
		place.Opened = f.hold.HoldFront
		if socket, err := place.File(); err == nil && socket != nil { // handed over by one that held nothing
			f.hold.HoldFront(socket)
			socket.Close() // a duplicate
		}
		f.place.Store(place)
		f.tasks.Go(place.Serve)
	}
}

// end ends the front, and reports whether there was one.
func (f *frontend) end() bool {
	place := f.place.Swap(nil)
	if place != nil {
		place.Close()
		f.hold.HoldFront(nil)
	}
	return place != nil
}

// frontHeadStart is how long the builds' sockets outlive the front's, so that requests it accepted
// just before reach their builds.
const frontHeadStart = 200 * time.Millisecond

// leaveLimit is how long requests under way of a front whose socket the next supervisor gets may
// take, while others wait in its queue.
const leaveLimit = 30 * time.Second

// leave ends the front for a stop of the supervisor. The function that it returns waits until the
// builds may end, or hard does. held reports which sockets the next supervisor gets: if the front's
// is one, who connects from now on waits for that, and who was accepted before is served.
func (f *frontend) leave(held func(inode uint64) bool) (wait func(hard context.Context)) {
	place := f.place.Load()
	switch {
	case place == nil:
		return func(context.Context) {}
	case !place.Is(held):
		f.end()
		return func(hard context.Context) {
			select {
			case <-time.After(frontHeadStart):
			case <-hard.Done():
			}
		}
	}
	return func(hard context.Context) {
		ctx, cancel := context.WithTimeout(hard, leaveLimit)
		defer cancel()
		if _, err := place.Halt(ctx); err != nil {
			f.log.Warn("requests of the front did not end in time", "error", err)
		}
		place.Close()
	}
}

// parts is how the front and the dashboard are.
func (f *frontend) parts(cfg *config.Config) (front, dashboard control.Part) {
	if place := f.place.Load(); place != nil {
		front = control.Part{Address: place.Address(), Trouble: place.Trouble()}
		if path := cfg.Supervisor.Dashboard; path != "" {
			dashboard = control.Part{Address: place.Address() + path, Trouble: front.Trouble}
		}
	}
	return front, dashboard
}

func (f *frontend) counts() control.FrontCounts { return control.FrontCounts(f.front.Stats()) }

func routes(cfg *config.Config) []front.Route {
	var all []front.Route
	for _, b := range cfg.Builds {
		if b.Location != "" {
			all = append(all, front.Route{Build: b.Name, Location: b.Location, Keep: !b.StripPrefix, Socket: cfg.Socket(b.Name)})
		}
	}
	return all
}

// dashboardPage is the dashboard as the file has it.
type dashboardPage struct {
	path, token string
	handler     http.Handler
	end         context.CancelFunc // of its streams
}

// dashboardRoute is the front's route to the dashboard, if there is one. An edit that moves or
// removes the dashboard ends its streams; any other leaves them alone.
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
		// read each time: it may change
		o.Token = func() (string, error) { return config.ReadToken(token) }
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
