package supervisor

import (
	"context"
	"net/http"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/dashboard"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
)

// dashboardPage is the dashboard as the file has it.
type dashboardPage struct {
	path, token string
	handler     http.Handler
	end         context.CancelFunc // of its streams
}

// dashboardRoute is the front's route to the dashboard, where there is one. An edit
// that moves it or takes it away ends what it streams; any other leaves that alone.
// The caller holds mu.
func (s *Supervisor) dashboardRoute(c config.Supervisor) []front.Route {
	if p := s.page; p != nil && (p.path != c.Dashboard || p.token != c.DashboardWrite) {
		p.end()
		s.page = nil
	}
	if c.Dashboard == "" {
		return nil
	}
	if s.page == nil {
		s.page = s.newDashboard(c.Dashboard, c.DashboardWrite)
	}
	return []front.Route{{Build: "the dashboard", Location: c.Dashboard, Handler: s.page.handler}}
}

func (s *Supervisor) newDashboard(path, token string) *dashboardPage {
	o := dashboard.Options{API: control.NewHandler(s, s.metrics, s.log.Named("dashboard"))}
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
