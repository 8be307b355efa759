package front

import (
	"net/url"
	"slices"
	"strings"
)

// Route says which build serves a location.
type Route struct {
	Build    string // the build's name
	Location string // URL prefix, "/api"; a build without one is not routed
	Keep     bool   // the location stays part of the path that the build sees
	Socket   string // path of its public unix socket
}

// routes is a Front's table, longest location first. It is never changed.
type routes []route

type route struct {
	Route
	segments []string // the location's, unescaped: "/a/b" is ["a", "b"], "/" is none
	served   *tally   // nil until the table is a Front's
}

func newRoutes(given []Route) routes {
	table := make(routes, 0, len(given))
	for _, r := range given {
		if r.Location == "" {
			continue
		}
		var segments []string
		if trimmed := strings.Trim(r.Location, "/"); trimmed != "" {
			segments = strings.Split(trimmed, "/")
		}
		r.Location = "/" + strings.Join(segments, "/")
		table = append(table, route{Route: r, segments: segments})
	}
	slices.SortStableFunc(table, func(a, b route) int { return len(b.segments) - len(a.segments) })
	return table
}

// find returns the route for an escaped path and the path that is passed on, still escaped: without
// the location, unless the route keeps it.
func (t routes) find(path string) (route, string, bool) {
	if !strings.HasPrefix(path, "/") {
		return route{}, "", false // "OPTIONS *", CONNECT
	}
	for _, r := range t {
		if rest, ok := r.strip(path); ok {
			if r.Keep {
				rest = path
			}
			return r, rest, true
		}
	}
	return route{}, "", false
}

// strip removes the location from path, segment by segment: an escaped slash inside a segment is
// not a boundary, and "%61pi" is "api".
func (r route) strip(path string) (rest string, ok bool) {
	for _, want := range r.segments {
		if !strings.HasPrefix(path, "/") {
			return "", false
		}
		segment, after := path[1:], ""
		if i := strings.IndexByte(segment, '/'); i >= 0 {
			segment, after = segment[:i], segment[i:]
		}
		if segment != want {
			if plain, err := url.PathUnescape(segment); err != nil || plain != want {
				return "", false
			}
		}
		path = after
	}
	if path == "" {
		return "/", true
	}
	return path, true
}

// rawPath is the path as the client wrote it. A byte that must not appear in a request line is
// escaped; what was escaped stays as it was, above all "%2F". (url.URL.EscapedPath escapes
// everything again as soon as one byte is wrong.)
func rawPath(u *url.URL) string {
	raw := u.RawPath
	if raw == "" {
		return u.EscapedPath()
	}
	var b strings.Builder
	for i := range len(raw) {
		if c := raw[i]; mayStand(c) {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.WriteString("%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
		}
	}
	return b.String()
}

// mayStand reports whether c may appear in a path, by RFC 3986 plus the brackets that net/url
// allows.
func mayStand(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("/%-_.~!$&'()*+,;=:@[]", c) >= 0
}

// setPath makes u send exactly the escaped path, which was cut from one that net/url had parsed and
// so unescapes.
func setPath(u *url.URL, escaped string) {
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		plain = escaped // cannot happen: see above
	}
	u.Path, u.RawPath = plain, escaped
}
