package supervisor

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/dashboard"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// frontend is what serves HTTP at addresses of its own, as the file has them: the embedded front, the
// dashboard and the metrics. Only the supervisor's own goroutine changes it.
type frontend struct {
	log   hclog.Logger
	api   *Supervisor // the source of what the dashboard shows
	front *front.Front
	page  atomic.Pointer[dashboardPage] // what the dashboard serves; nil: there is none
	pages *front.Server                 // serves it

	scrape  http.Handler  // the metrics
	scraped *front.Server // serves them

	at [3]seat // of the front, of the dashboard and of the metrics
}

// seat is where one of them is.
type seat struct {
	name   world.PlaceName
	server *front.Server
	past   world.Past
	hold   world.Holder
	tasks  *sync.WaitGroup
	place  atomic.Pointer[front.Place] // nil: it is nowhere
}

func newFrontend(log hclog.Logger, w *world.World, root string, api *Supervisor) *frontend {
	f := &frontend{log: log, api: api, front: front.New(log.Named("front"), layout.Root(root).Own())}
	f.pages = front.NewServer("dashboard", log.Named("dashboard"), http.HandlerFunc(f.servePage))
	f.scrape = api.metrics.Alone()
	f.scraped = front.NewServer("metrics", log.Named("metrics"), http.HandlerFunc(f.serveMetrics))
	for i, server := range []*front.Server{f.front.Server, f.pages, f.scraped} {
		s := &f.at[i]
		s.name, s.server, s.past, s.hold, s.tasks = placeNames[i], server, w.Past, w.Holder, &api.tasks
	}
	return f
}

var placeNames = [...]world.PlaceName{world.FrontPlace, world.DashboardPlace, world.MetricsPlace}

// apply makes all of it follow cfg.
func (f *frontend) apply(cfg *config.Config) {
	b := budgetOf(len(cfg.Builds) + (cfg.Instances()+3)/4) // an instance needs a quarter of what a build does
	f.front.Limit(b.front)
	f.front.Trust(cfg.FrontProxies)
	f.front.LimitFiles(b.files)
	f.pages.Limit(b.dashboard)
	f.scraped.Limit(b.metrics)
	f.front.SetRoutes(routes(cfg))
	f.follow(cfg.Supervisor)
	f.at[0].move(cfg.Supervisor.Front)
	f.at[1].move(cfg.Supervisor.Dashboard)
	f.at[2].move(cfg.Supervisor.Metrics)
}

// serveMetrics serves what Prometheus scrapes, and nothing else. It has no secrets, but says which
// builds there are: a page in a browser is not to read it by a name that leads to this machine.
func (f *frontend) serveMetrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	var names []string
	if place := f.at[2].place.Load(); place != nil {
		if host, _, err := net.SplitHostPort(place.Address()); err == nil { // it was checked
			names = append(names, host)
		}
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); (!ok || local.IP.IsLoopback()) && !dashboard.IsOurs(r.Host, names) {
		http.Error(w, "the metrics have another name: use localhost or the address that they are served at", http.StatusMisdirectedRequest)
		return
	}
	f.scrape.ServeHTTP(w, r)
}

// move makes the seat be at an address; "" is nowhere.
func (s *seat) move(addr string) {
	place := s.place.Load()
	if place == nil && addr == "" || place != nil && place.Address() == addr {
		return
	}
	s.end()
	if addr == "" {
		return
	}
	place = s.server.At(addr, s.past.Place(s.name, addr))
	place.Opened = func(socket *os.File) { s.hold.HoldPlace(s.name, socket) }
	if socket, err := place.File(); err == nil && socket != nil { // handed over by one that held nothing
		s.hold.HoldPlace(s.name, socket)
		socket.Close() // a duplicate
	}
	s.place.Store(place)
	s.tasks.Go(place.Serve)
}

// end closes the seat's place.
func (s *seat) end() {
	if place := s.place.Swap(nil); place != nil {
		place.Close()
		s.hold.HoldPlace(s.name, nil)
	}
}

// part is how the seat is.
func (s *seat) part() control.Part {
	place := s.place.Load()
	if place == nil {
		return control.Part{}
	}
	return control.Part{Address: place.Address(), Trouble: place.Trouble()}
}

// frontHeadStart is how long the builds' sockets outlive the front's, so that requests it accepted
// just before reach their builds.
const frontHeadStart = 200 * time.Millisecond

// leaveLimit is how long requests under way of a front whose socket the next supervisor gets may
// take, while others wait in its queue.
const leaveLimit = 30 * time.Second

// leave ends them all for a stop of the supervisor. The function that it returns
// waits until the builds may end, or hard does. held reports which sockets the next supervisor gets:
// who connects to such a one from now on waits for that, and who was accepted before is served.
func (f *frontend) leave(held func(inode uint64) bool) (wait func(hard context.Context)) {
	pause := time.Duration(0)
	var kept []*front.Place
	for i := range f.at {
		s := &f.at[i]
		place := s.place.Load()
		switch {
		case place == nil:
		case place.Is(held):
			kept = append(kept, place)
		default:
			s.end()
			if s.name == world.FrontPlace {
				pause = frontHeadStart
			}
		}
	}
	return func(hard context.Context) {
		ctx, cancel := context.WithTimeout(hard, leaveLimit)
		defer cancel()
		for _, place := range kept {
			if _, err := place.Halt(ctx); err != nil {
				f.log.Warn("requests under way did not end in time", "address", place.Address(), "error", err)
			}
			place.Close()
		}
		select {
		case <-time.After(pause):
		case <-hard.Done():
		}
	}
}

// halt lets the requests under way end and accepts no others until goOn is called. The error is ctx's.
func (f *frontend) halt(ctx context.Context) (goOn func(), err error) {
	var all []func()
	goOn = func() {
		for _, each := range all {
			each()
		}
	}
	for i := range f.at {
		if place := f.at[i].place.Load(); place != nil {
			each, err := place.Halt(ctx)
			all = append(all, each)
			if err != nil {
				return goOn, err
			}
		}
	}
	return goOn, nil
}

// sockets returns those that listen for the program that is executed in our place; close closes them,
// which are duplicates.
func (f *frontend) sockets() (all map[world.PlaceName]world.Place, close func(), err error) {
	all = map[world.PlaceName]world.Place{}
	close = func() {
		for _, p := range all {
			p.Socket.Close() // nothing was written to it
		}
	}
	for i := range f.at {
		s := &f.at[i]
		place := s.place.Load()
		if place == nil {
			continue
		}
		socket, err := place.File()
		if err != nil {
			close()
			return nil, nil, err
		}
		if socket != nil {
			all[s.name] = world.Place{Address: place.Address(), Socket: socket}
		}
	}
	return all, close, nil
}

// counts are what became of the front's requests.
func (f *frontend) counts() control.FrontCounts {
	s := f.front.Stats()
	return control.FrontCounts{Requests: s.Requests, Unrouted: s.Unrouted, Retried: s.Retried, Refused: s.Refused, Lost: s.Lost, Builds: f.requests()}
}

// requests are the counts of each build that the front passes requests to; none where it is nowhere.
func (f *frontend) requests() (all []control.Requests) {
	if f.at[0].place.Load() == nil {
		return nil
	}
	for name, s := range f.front.Served() {
		r := control.Requests{Build: name, Codes: map[string]uint64{}, Cut: s.Cut, Waits: s.Waits, Took: s.Took[:], Sum: s.Sum}
		for i, n := range s.Codes {
			r.Codes[front.Classes[i]] = n
		}
		all = append(all, r)
	}
	return all
}

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
	about   about
	handler http.Handler
	life    context.Context // of its streams
	end     context.CancelFunc
}

// about is what a page is made from.
type about struct {
	address, readFile, writeFile string
	read, write                  string // the tokens, as they are now
}

// follow makes the dashboard's page follow the file. An edit that moves it, or changes a token, ends
// its streams: who follows them may have lost the right to. Any other leaves them alone.
func (f *frontend) follow(c config.Supervisor) {
	next := about{address: c.Dashboard, readFile: c.DashboardRead, writeFile: c.DashboardWrite}
	next.read, next.write = tokenNow(next.readFile), tokenNow(next.writeFile)
	before := f.page.Load()
	if before != nil && before.about == next {
		return
	}
	var page *dashboardPage
	if c.Dashboard != "" {
		page = f.newDashboard(next)
	}
	f.page.Store(page)
	if before != nil {
		before.end()
	}
}

// tokenNow returns the token in a file, or "" if there is none: a file that cannot be read was
// reported when builds.toml was, and is again to who enters a token.
func tokenNow(path string) string {
	if path == "" {
		return ""
	}
	token, err := config.ReadToken(path)
	if err != nil {
		return ""
	}
	return token
}

func (f *frontend) newDashboard(a about) *dashboardPage {
	log := f.log.Named("dashboard")
	o := dashboard.Options{
		API: fromDashboard(control.NewHandler(f.api, f.api.metrics, log)), Public: control.NewOnlookers(f.api, f.api.metrics, log),
		Read: tokenIn(a.readFile), Write: tokenIn(a.writeFile), Cookie: "medctrl_dashboard",
	}
	if host, port, err := net.SplitHostPort(a.address); err == nil { // it was checked
		o.Cookie += "_" + port
		o.Names = []string{host}
		if ip := net.ParseIP(host); host == "" || ip != nil && !ip.IsLoopback() {
			if name, err := os.Hostname(); err == nil { // else it is reached by its address
				o.Names = append(o.Names, name)
			}
		}
	}
	life, end := context.WithCancel(context.Background())
	return &dashboardPage{about: a, handler: dashboard.New(o), life: life, end: end}
}

// tokenIn reads the token in a file each time: it may change.
func tokenIn(path string) func() (string, error) {
	if path == "" {
		return nil
	}
	return func() (string, error) { return config.ReadToken(path) }
}

// servePage passes a request to the dashboard as it is now.
func (f *frontend) servePage(w http.ResponseWriter, r *http.Request) {
	page := f.page.Load()
	if page == nil {
		http.NotFound(w, r) // it was removed just now
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(page.life, cancel)()
	page.handler.ServeHTTP(w, r.WithContext(ctx))
}

// budget is how many descriptors each part of the program that strangers can reach may use.
type budget struct {
	front, dashboard, metrics bound.Limits

	files int
}

// The descriptors that are reserved for supervision: those of the supervisor itself, with the control
// socket's clients and the steps of builds, and some for each build beyond what it needs while it
// serves.
const (
	reservedBase = 64
	reservedEach = 4 * descriptorsEach
	mostClients  = 4096 // of the front, each with some 20 KiB of memory
	mostLookers  = 128  // of the dashboard
	mostScrapers = 16   // of the metrics
)

// budgetOf divides the descriptors that a process may open.
func budgetOf(builds int) budget { return divide(descriptorLimit(), builds) }

// divide divides limit descriptors. A request of the front needs two, one more for each body that is
// kept in a file; one of the dashboard needs two, for a log, and one of the metrics. Even where the
// limit is too low for what is supervised, a few clients are served.
func divide(limit, builds int) budget {
	free := max(limit-reservedBase-control.MaxConns(limit)-reservedEach*builds, min(64, limit/4))
	front, lookers, scrapers := min(max(free*11/32, 4), mostClients), min(max(free/16, 4), mostLookers), min(max(free/32, 2), mostScrapers)
	return budget{
		front:     bound.Limits{Total: front, PerAddress: max(front/2, 2)},
		dashboard: bound.Limits{Total: lookers, PerAddress: max(lookers/2, 2)},
		metrics:   bound.Limits{Total: scrapers, PerAddress: max(scrapers/2, 2)},
		files:     max(free/16, 1), // each way
	}
}

// fromDashboard is h for requests that come by the dashboard: who may act there is known by a token,
// so events name the address it came from.
func fromDashboard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			from = r.RemoteAddr
		}
		h.ServeHTTP(w, r.WithContext(control.WithWho(r.Context(), "the dashboard, from "+from)))
	})
}
