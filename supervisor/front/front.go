package front

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Front passes requests to builds. Make one by [New]. All its methods may be called concurrently.
type Front struct {
	*Server
	table  atomic.Pointer[routes]
	proxy  httputil.ReverseProxy
	bodies *store // of requests
	ahead  *store // of responses
	counts counts

	proxies atomic.Pointer[Proxies] // nil: none
}

// Stats are counts since the Front was made.
type Stats struct {
	Requests uint64 // all that arrived
	Unrouted uint64 // answered 404: no location matched
	Retried  uint64 // sent once more because the connection broke
	Refused  uint64 // answered 503: the build did not serve, or there was no room for the request
	Lost     uint64 // answered 502 or 504, or cut off in the response's body: the build broke
}

type counts struct{ requests, unrouted, retried, refused, lost atomic.Uint64 }

// New returns a Front without routes. It keeps bodies in files of folder; "" is the system's folder
// for temporary files.
func New(log hclog.Logger, folder string) *Front {
	f := &Front{bodies: newStore(folder), ahead: newStore(folder)}
	f.Server = newServer("front", log, f, StallTimeout)
	f.table.Store(&routes{})
	f.proxy = httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		Transport:      &twice{once: newTransport(), counts: &f.counts},
		FlushInterval:  -1, // every piece of a response goes out as it comes
		ModifyResponse: f.modify,
		ErrorHandler:   f.failed,
		ErrorLog:       log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	return f
}

// SetRoutes replaces all routes. Requests that are under way keep theirs, and a build that is routed
// still goes on with its counts. It is not called concurrently.
func (f *Front) SetRoutes(given []Route) {
	before := map[string]*tally{}
	for _, r := range *f.table.Load() {
		before[r.Build] = r.served
	}
	table := newRoutes(given)
	for i := range table {
		of, known := before[table[i].Build]
		if !known {
			of = &tally{}
			before[table[i].Build] = of
		}
		table[i].served = of
	}
	f.table.Store(&table)
}

// LimitFiles sets how many bodies may be kept in files at once, each way.
func (f *Front) LimitFiles(most int) {
	f.bodies.limitFiles(most)
	f.ahead.limitFiles(most)
}

// Stats returns the counts so far.
func (f *Front) Stats() Stats {
	c, turnedAway := &f.counts, f.open.Counts().Refused
	return Stats{
		Requests: c.requests.Load() + turnedAway,
		Unrouted: c.unrouted.Load(),
		Retried:  c.retried.Load(),
		Refused:  c.refused.Load() + turnedAway,
		Lost:     c.lost.Load(),
	}
}

// target is where a request goes; it travels in the request's context.
type target struct {
	Route
	rest   string // the escaped path that is passed on
	served *tally

	// of the goroutine that handles the request
	passed  time.Time // when it was passed on; zero: it was not
	counted bool
}

type targetKey struct{}

func targetOf(ctx context.Context) *target {
	if t, ok := ctx.Value(targetKey{}).(*target); ok {
		return t
	}
	return &target{}
}

// ServeHTTP passes one request on.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.counts.requests.Add(1)
	found, rest, ok := f.table.Load().find(rawPath(r.URL))
	if !ok {
		f.counts.unrouted.Add(1)
		http.Error(w, "404 not found", http.StatusNotFound)
		return
	}
	to := &target{Route: found.Route, rest: rest, served: found.served}
	r = r.WithContext(context.WithValue(r.Context(), targetKey{}, to))
	if r.Body != nil && r.Body != http.NoBody {
		held, kept, err := f.hold(r)
		if err != nil {
			f.refuseBody(w, r, err)
			return
		}
		defer kept.Close() // has no error
		r = held
	}
	to.passed = time.Now()
	f.proxy.ServeHTTP(w, r)
}

// rewrite turns the client's request into the build's. ReverseProxy has already removed hop-by-hop
// headers, Forwarded and X-Forwarded-{For,Host,Proto}.
func (f *Front) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	to := targetOf(in.Context())
	out.URL.Scheme = "http"
	out.URL.Host = to.Build                // only for error texts; the context has the target
	out.URL.RawQuery = in.URL.RawQuery     // ReverseProxy drops what it cannot parse
	out.URL.ForceQuery = in.URL.ForceQuery // a bare "?"
	setPath(out.URL, to.rest)

	for name := range out.Header {
		if strings.Contains(name, "_") || strings.HasPrefix(name, "X-Forwarded-") {
			delete(out.Header, name)
		}
	}
	out.Header.Del("Proxy")  // CGI's HTTP_PROXY, httpoxy.org
	out.Header.Del("Expect") // "100 Continue" is between the client and us, as with Nginx
	if _, ok := in.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", "") // else net/http sends its own
	}
	from := f.originOf(in)
	out.Header.Set("X-Forwarded-Proto", from.proto)
	out.Header.Set("X-Forwarded-Host", in.Host)
	if to.Location != "/" && !to.Keep {
		out.Header.Set("X-Forwarded-Prefix", to.Location)
	}
	out.Header.Del("X-Real-IP")
	via := in.Header.Values("X-Forwarded-For")
	if from.peer != "" {
		out.Header.Set("X-Real-IP", from.client)
		via = append(via[:len(via):len(via)], from.peer)
	}
	if len(via) > 0 {
		out.Header.Set("X-Forwarded-For", strings.Join(via, ", "))
	}
}

// failed responds to a request that got no response from the build.
func (f *Front) failed(w http.ResponseWriter, r *http.Request, err error) {
	to := targetOf(r.Context())
	var notServing *dialError
	var fromClient *bodyError
	var timeout net.Error
	switch {
	case errors.As(err, &fromClient):
		f.log.Debug("client broke off", "build", to.Build, "error", err)
		to.responded(http.StatusRequestTimeout)
		w.Header().Set("Connection", "close")
		http.Error(w, "408 the request's body was incomplete", http.StatusRequestTimeout)
	case r.Context().Err() != nil:
		// The client has gone, or Serve is cutting off the remaining requests.
		if ending, ok := r.Context().Value(endingKey{}).(context.Context); ok && ending.Err() != nil {
			to.responded(http.StatusServiceUnavailable)
		} else {
			to.left()
		}
		w.Header().Set("Connection", "close")
		http.Error(w, "503 stopped", http.StatusServiceUnavailable)
	case errors.As(err, &notServing):
		to.fail(&f.counts.refused)
		to.responded(http.StatusServiceUnavailable)
		f.log.Debug("request refused", "build", to.Build, "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "503 the service is starting or stopped, try again soon", http.StatusServiceUnavailable)
	case errors.As(err, &timeout) && timeout.Timeout():
		to.fail(&f.counts.lost)
		to.responded(http.StatusGatewayTimeout)
		f.log.Warn("request lost", "build", to.Build, "method", r.Method, "error", err)
		http.Error(w, "504 the service did not answer in time", http.StatusGatewayTimeout)
	default:
		to.fail(&f.counts.lost)
		to.responded(http.StatusBadGateway)
		f.log.Warn("request lost", "build", to.Build, "method", r.Method, "error", err)
		http.Error(w, "502 the service broke off", http.StatusBadGateway)
	}
}

// sharedHeaders are those by which one build would decide for the whole origin, which it shares with
// the others: a service worker for their pages (Service Workers, 3.4), the end of their logins and
// storage (Clear-Site-Data), another server for their requests (Alt-Svc, RFC 7838), reports of their
// requests (Network Error Logging).
var sharedHeaders = []string{"Service-Worker-Allowed", "Clear-Site-Data", "Alt-Svc", "Nel"}

// modify has a response read ahead, without the headers that are not its build's to send. A response
// that breaks off after its head was sent is counted; the client sees the connection break, as it
// must.
func (f *Front) modify(resp *http.Response) error {
	to := targetOf(resp.Request.Context())
	to.responded(resp.StatusCode)
	for _, name := range sharedHeaders {
		resp.Header.Del(name)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		f.readAhead(resp)
		resp.Body = &countedBody{ReadCloser: resp.Body, ctx: resp.Request.Context(), to: to, front: f}
	}
	return nil
}
