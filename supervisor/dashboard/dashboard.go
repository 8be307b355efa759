package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Options is what a dashboard is made of.
type Options struct {
	API   http.Handler           // the control socket's, at /v1/
	Token func() (string, error) // what those must know who may write; nil: nobody may
}

// New makes the handler of a dashboard: its page at /, what that loads from next to it, and the API
// at /v1/. It is to be served below a path that ends with a slash.
func New(o Options) http.Handler {
	d := &page{Options: o, files: map[string]file{}, wrong: make(chan struct{}, wrongAtOnce), streams: make(chan struct{}, maxStreams)}
	for path, name := range map[string]string{"/": "index.html", "/app.js": "app.js", "/style.css": "style.css", "/icon.svg": "icon.svg"} {
		text, err := files.ReadFile("page/" + name)
		if err != nil {
			panic(err) // they are embedded
		}
		sum := sha256.Sum256(text)
		d.files[path] = file{text: text, kind: kinds[name[strings.LastIndexByte(name, '.'):]], tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
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
	text      []byte
	kind, tag string
}

type page struct {
	Options
	files   map[string]file
	wrong   chan struct{} // holds a place for each wrong token of the last second
	streams chan struct{} // holds a place for each stream under way
}

// policy lets the page load what is served next to it, and nothing else; nobody may frame it
// (w3.org/TR/CSP3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers one request.
func (d *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if api, ok := strings.CutPrefix(r.URL.Path, "/v1/"); ok {
		h.Set("Cache-Control", "no-store")
		d.api(w, r, strings.Split(api, "/"))
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
	h.Set("Cache-Control", "no-cache") // asked for each time, sent when it has changed
	h.Set("ETag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	w.Write(f.text) // a client that has gone needs no page
}

// actions are those that the page may ask for.
var actions = []string{"start", "stop", "restart", "rebuild", "rollback"}

// api passes on what the page needs of the API.
func (d *page) api(w http.ResponseWriter, r *http.Request, path []string) {
	read := len(path) == 1 && slices.Contains([]string{"status", "events", "samples"}, path[0]) ||
		len(path) == 2 && slices.Contains([]string{"builds", "logs"}, path[0])
	switch {
	case r.Method == http.MethodGet && read && (path[0] == "events" || path[0] == "logs"):
		d.stream(w, r)
	case r.Method == http.MethodGet && read:
		d.API.ServeHTTP(w, r)
	case r.Method == http.MethodGet && len(path) == 1 && path[0] == "session":
		d.session(w, r)
	case r.Method == http.MethodPost && len(path) == 3 && path[0] == "builds" && slices.Contains(actions, path[2]):
		if d.mayWrite(w, r) {
			d.API.ServeHTTP(w, r)
		}
	default:
		refuse(w, http.StatusNotFound, "the dashboard has nothing at "+r.Method+" "+r.URL.Path)
	}
}

// maxStreams is how many events and logs are followed at once: everybody may look, and each costs
// the supervisor for as long as it lasts.
const maxStreams = 64

func (d *page) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case d.streams <- struct{}{}:
		defer func() { <-d.streams }()
		d.API.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "too many look at the dashboard already")
	}
}

// session says whether there is a token, and whether the one that came is right.
func (d *page) session(w http.ResponseWriter, r *http.Request) {
	said := struct {
		Writable bool `json:"writable"` // there is a token to enter
		Write    bool `json:"write"`    // it was entered
	}{Writable: d.Token != nil}
	if r.Header.Get("Authorization") != "" {
		if !d.mayWrite(w, r) {
			return
		}
		said.Write = true
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(said) // a client that has gone needs no answer
}

const (
	wrongAtOnce = 4           // wrong tokens that are answered at the same time
	wrongTakes  = time.Second // for each
)

// sameOrigin decides by Sec-Fetch-Site, and where a browser is too old for it by Origin.
var sameOrigin = http.NewCrossOriginProtection()

// mayWrite lets those pass who know the token, from the page itself; it answers the others. A
// browser never adds the header by itself, so no other page can have it sent; a request that says it
// comes from another page is refused all the same.
func (d *page) mayWrite(w http.ResponseWriter, r *http.Request) bool {
	if d.Token == nil {
		refuse(w, http.StatusForbidden, "the dashboard only shows: set dashboard_write in [supervisor] to a file with a token")
		return false
	}
	if err := sameOrigin.Check(r); err != nil {
		refuse(w, http.StatusForbidden, "only the dashboard's own page may do this")
		return false
	}
	want, err := d.Token()
	if err != nil {
		refuse(w, http.StatusForbidden, "the token cannot be read: "+err.Error())
		return false
	}
	select { // also for right ones, or a flood of wrong ones would tell them apart
	case d.wrong <- struct{}{}:
		defer func() { <-d.wrong }()
	default:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "too many tries: wait a second")
		return false
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	if ok && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return true
	}
	select {
	case <-time.After(wrongTakes):
	case <-r.Context().Done():
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="medctrl-supervisor"`)
	refuse(w, http.StatusUnauthorized, "that is not the token")
	return false
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": why}) // a client that has gone needs no answer
}
