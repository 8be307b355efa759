package front

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Nginx writes a location block for each route that has a location, sorted by it, to be included
// inside a `server { }` of Nginx. An upstream block is not allowed there (only in `http { }`), so
// an interrupted request is tried once more by a second, named location. It is where `error_page
// 502` leads, the 502 of Nginx itself, never one that the build answered with, and lets only
// idempotent methods pass.
//
// plain writes only the documented form: no second try, 500 for the bare location, and /apix goes
// to /api. root is named in the head of the text. A route that keeps its location has no rewrite in
// either form.
//
// See [NginxUpstreams] and [NginxLocations] for the same with upstream blocks.
func Nginx(w io.Writer, given []Route, plain bool, root string) error {
	if plain {
		return writeNginx(w, given, "The builds of "+root+", the plain form.\n"+intoServer, func(f *nginxFile, r route) {
			f.location(r, "http://unix:"+r.Socket, func() { f.strip(r) })
		})
	}
	const what = ".\nA request that a killed worker held is tried once more, idempotent methods only.\n"
	return writeNginx(w, given, "The builds of "+root+what+intoServer, func(f *nginxFile, r route) {
		socket, again := "http://unix:"+r.Socket, "@medctrl_"+r.Build+"_again"
		f.location(r, socket, func() {
			f.stripSegments(r)
			f.line("error_page", "502", "=", again)
		})
		f.open("location", again)
		f.text("    if ($request_method !~ ^(GET|HEAD|OPTIONS|PUT|DELETE)$) { return 502; }")
		f.line("include", "proxy_params")
		f.line("proxy_pass", socket)
		f.text("}")
	})
}

// NginxUpstreams writes an upstream block for each route that has a location, sorted by it, to be
// included in Nginx's `http { }`, as any file in /etc/nginx/conf.d is. The socket is named twice,
// so that Nginx tries a request once more when the connection broke; by its default,
// proxy_next_upstream without non_idempotent, not a POST, LOCK or PATCH that was sent. max_fails=0:
// Nginx never treats a build as dead.
func NginxUpstreams(w io.Writer, given []Route) error {
	return writeNginx(w, given, upstreamsHead, func(f *nginxFile, r route) {
		f.open("upstream", "medctrl_"+r.Build)
		f.line("server", "unix:"+r.Socket, "max_fails=0")
		f.line("server", "unix:"+r.Socket, "max_fails=0")
		f.text("}")
	})
}

// NginxLocations writes the location blocks that pass to what [NginxUpstreams] writes, to be
// included inside a `server { }`.
func NginxLocations(w io.Writer, given []Route) error {
	return writeNginx(w, given, locationsHead, func(f *nginxFile, r route) {
		f.location(r, "http://medctrl_"+r.Build, func() { f.stripSegments(r) })
	})
}

const (
	intoServer = `Include this inside a server block:

    server {
        listen 80;
        include /path/to/this/file;
    }`
	upstreamsHead = `The builds' sockets. Include this in the http block, next to the server blocks
(Debian: a file in /etc/nginx/conf.d), and the locations inside a server block.`
	locationsHead = `The builds' locations. Include this inside a server block, and the upstreams
in the http block (Debian: a file in /etc/nginx/conf.d).`
)

// writeNginx writes head as a comment, then what each writes for the routes in the order of their
// locations. Nothing is written if a route cannot be.
func writeNginx(w io.Writer, given []Route, head string, each func(*nginxFile, route)) error {
	table := newRoutes(given)
	slices.SortStableFunc(table, func(a, b route) int { return strings.Compare(a.Location, b.Location) })
	f := new(nginxFile)
	for line := range strings.SplitSeq(head, "\n") {
		f.text(strings.TrimRight("# "+strings.Map(printable, line), " "))
	}
	for _, r := range table {
		if err := nginxTakes(r); err != nil {
			return err
		}
		each(f, r)
	}
	if _, err := f.WriteTo(w); err != nil {
		return fmt.Errorf("write nginx locations: %w", err)
	}
	return nil
}

type nginxFile struct{ bytes.Buffer }

func (f *nginxFile) text(line string) { f.WriteString(line + "\n") }

func (f *nginxFile) open(words ...string) { f.text("\n" + quoted(words) + " {") }

func (f *nginxFile) line(words ...string) { f.text("    " + quoted(words) + ";") }

func (f *nginxFile) location(r route, pass string, inside func()) {
	f.open("location", r.Location)
	f.line("include", "proxy_params")
	inside()
	f.line("proxy_pass", pass)
	f.text("}")
}

// strip is the documented rewrite. Nginx responds with 500 if nothing is left of the path. Without
// one Nginx passes the path as the client wrote it.
func (f *nginxFile) strip(r route) {
	if len(r.segments) > 0 && !r.Keep {
		f.line("rewrite", "^"+regexp.QuoteMeta(r.Location)+"(.*)$", "$1", "break")
	}
}

// stripSegments is strip for whole segments: the location alone becomes "/", and /apix, which
// `location /api` matches too, gets a 404.
func (f *nginxFile) stripSegments(r route) {
	if len(r.segments) > 0 {
		at := "^" + regexp.QuoteMeta(r.Location)
		f.text("    if ($uri ~ " + quoted([]string{at + "[^/]"}) + ") { return 404; }")
		if !r.Keep {
			f.line("rewrite", at+"$", "/", "break")
		}
	}
	f.strip(r)
}

// nginxTakes returns an error for a route that cannot be written for Nginx.
func nginxTakes(r route) error {
	// "$" begins a variable and ":" ends the socket's path; there is no way to escape them.
	if i := strings.IndexAny(r.Socket, "$:"); i >= 0 {
		return fmt.Errorf("nginx cannot pass to %s: its path must not have a %q: choose another root", r.Socket, r.Socket[i])
	}
	for _, s := range []string{r.Socket, r.Location} {
		if strings.Map(printable, s) != s {
			return fmt.Errorf("nginx cannot take %q: it has a control character", s)
		}
	}
	return nil
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// quoted joins the words of a directive, quoting those that need it.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if w == "" || strings.ContainsAny(w, " ;{}\"'\\#") {
			out[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		}
	}
	return strings.Join(out, " ")
}
