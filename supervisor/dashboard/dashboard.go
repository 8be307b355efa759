package dashboard

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Options is what a dashboard is made of.
type Options struct {
	API    http.Handler // the control socket's, at /v1/
	Public http.Handler // the same without what builds print, for those without a token
	// Read and Write return the tokens of those who may read logs and output, and who may act. Nil:
	// nobody may.
	Read, Write func() (string, error)
	Names       []string // of the host, by which it is reached besides localhost and addresses
	Cookie      string   // the name of its cookie, which no other dashboard of the host has
}

// New makes the handler of a dashboard: its page at /, what that loads from next to it, and the API
// at /v1/.
func New(o Options) http.Handler {
	d := &page{
		Options: o, files: map[string]file{},
		access: access{read: o.Read, write: o.Write, cookie: o.Cookie, wrong: make(chan struct{}, wrongAtOnce)},
	}
	entries, err := files.ReadDir("page")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, e := range entries {
		name := e.Name()
		text, err := files.ReadFile("page/" + name)
		if err != nil {
			panic(err)
		}
		path := "/" + name
		if name == "index.html" {
			path = "/"
		}
		d.files[path] = file{text: text, kind: kinds[name[strings.LastIndexByte(name, '.'):]]}
	}
	return d
}

//go:embed page
var files embed.FS

var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

type file struct {
	text []byte
	kind string
}

type page struct {
	Options
	access  access
	files   map[string]file
	streams streams
}

// policy lets the page load what is served next to it, and nothing else; nobody may frame it
// (w3.org/TR/CSP3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers one request.
func (d *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !IsOurs(r.Host, d.Names) {
		refuse(w, http.StatusMisdirectedRequest, "the dashboard has another name: use localhost or the address that it listens on")
		return
	}
	if api, ok := strings.CutPrefix(r.URL.Path, "/v1/"); ok {
		if err := d.api(w, r, strings.Split(api, "/")); err != nil {
			deny(w, err)
		}
		return
	}
	f, ok := d.files[r.URL.Path]
	if !ok {
		refuse(w, http.StatusNotFound, "nothing is at "+r.URL.Path)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "it is read by GET")
		return
	}
	h.Set("Content-Type", f.kind)
	w.Write(f.text) // a client that has gone needs no page
}

// actions are those that the page may ask for.
var actions = []string{"start", "stop", "restart", "rebuild", "rollback", "deploy"}

// api passes on what the page needs of the API, to those who may. The error is a *refusal.
func (d *page) api(w http.ResponseWriter, r *http.Request, path []string) error {
	get := r.Method == http.MethodGet
	switch {
	case len(path) == 1 && path[0] == "session":
		return d.access.serve(w, r)
	case get && len(path) == 2 && path[0] == "logs":
		return d.show(w, r, reads, true)
	case get && len(path) == 1 && path[0] == "events":
		return d.show(w, r, sees, true)
	case get && len(path) == 1 && (path[0] == "status" || path[0] == "samples"), get && len(path) == 2 && path[0] == "builds":
		return d.show(w, r, sees, false)
	case r.Method == http.MethodPost && len(path) == 3 && path[0] == "builds" && slices.Contains(actions, path[2]):
		return d.act(w, r)
	}
	return &refusal{http.StatusNotFound, "the dashboard has nothing at " + r.Method + " " + r.URL.Path}
}

// show passes on what is read. Whoever may only see gets it without what builds print.
func (d *page) show(w http.ResponseWriter, r *http.Request, needs level, stream bool) error {
	may, err := d.access.levelOf(r)
	if err != nil {
		return err
	}
	if may < needs {
		if d.Read == nil && d.Write == nil {
			return &refusal{http.StatusForbidden, "the dashboard shows no logs: set dashboard_read in [supervisor] to a file with a token"}
		}
		return &refusal{http.StatusUnauthorized, "enter the token to read logs"}
	}
	if stream {
		end, ok := d.streams.begin(r)
		if !ok {
			w.Header().Set("Retry-After", "5")
			return &refusal{http.StatusServiceUnavailable, "too many look at the dashboard already"}
		}
		defer end()
	}
	if may < reads {
		d.Public.ServeHTTP(w, r)
	} else {
		d.API.ServeHTTP(w, r)
	}
	return nil
}

// act passes on what changes something.
func (d *page) act(w http.ResponseWriter, r *http.Request) error {
	if d.Write == nil {
		return &refusal{http.StatusForbidden, "the dashboard only shows: set dashboard_write in [supervisor] to a file with a token"}
	}
	if err := fromPage(r); err != nil {
		return err
	}
	may, err := d.access.levelOf(r)
	switch {
	case err != nil:
		return err
	case may == reads:
		return &refusal{http.StatusForbidden, "this token only reads: enter the one of dashboard_write"}
	case may < acts:
		return &refusal{http.StatusUnauthorized, "enter the token of dashboard_write"}
	}
	d.API.ServeHTTP(w, r)
	return nil
}

// deny responds with a refusal.
func deny(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if r := (*refusal)(nil); errors.As(err, &r) {
		status = r.status
	}
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="medctrl-supervisor"`)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	refuse(w, status, err.Error())
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": why}) // a client that has gone needs no answer
}
