package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// set puts a value of the file into a field. It returns what was wanted if the value is wrong, else
// "".
func set(field, v any) (want string) {
	ok := false
	switch f := field.(type) {
	case *string:
		*f, ok = v.(string)
		want = "a text in quotes"
		if strings.ContainsFunc(*f, unicode.IsControl) {
			return "a text in one line, without control characters"
		}
	case *bool:
		*f, ok = v.(bool)
		want = "true or false"
	case *int:
		var n int64
		n, ok = v.(int64)
		*f = int(max(math.MinInt32, min(n, math.MaxInt32)))
		want = "a whole number"
	case *time.Duration:
		var text string
		if text, ok = v.(string); ok {
			var err error
			*f, err = time.ParseDuration(text)
			ok = err == nil
		}
		want = `a time such as "30s", "5m" or "1h30m"`
	case *[]string:
		want = `texts in quotes, ["…", "…"]`
		*f, ok = texts(v)
	case *[][]string:
		want = `lists of a program and its arguments, [["{python}", "…"], ["…"]]`
		*f, ok = lists(v)
	case *migration:
		want = `true, false or a list of databases, each of them once, ["default", "reports"]`
		ok = f.set(v)
	case *map[string]string:
		want = `texts in quotes, { NAME = "…" }`
		*f, ok = textTable(v)
	case *os.FileMode:
		want = `an octal mode in quotes, such as "0660"`
		if text, is := v.(string); is {
			n, err := strconv.ParseUint(text, 8, 32)
			*f, ok = os.FileMode(n), err == nil && n <= 0o777
		}
	case *Restart:
		text := ""
		want = oneOf(&text, v, string(RestartAlways), string(RestartOnFailure), string(RestartNever))
		*f = Restart(text)
		return want
	case *Ports:
		want = "TCP ports from 1 to 65535, [3306, 6379], each of them once"
		*f, ok = parsePorts(v)
	case *Size, *CoreSize, *Cores, *Count:
		return setLimit(field, v)
	case *Expect:
		want = `HTTP statuses: "<500", "200" or "200-399"`
		if text, is := v.(string); is {
			*f, ok = parseExpect(text)
		}
	}
	if ok {
		return ""
	}
	return want
}

// value returns the value of a field.
func value(field any) any {
	switch f := field.(type) {
	case *string:
		return *f
	case *int:
		return *f
	case *time.Duration:
		return *f
	case *[]string:
		return *f
	case *[][]string:
		return *f
	case *map[string]string:
		return *f
	case *os.FileMode:
		return *f
	case *Size:
		return *f
	case *Cores:
		return *f
	case *Count:
		return *f
	}
	return nil
}

func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	if len(list) == 0 {
		return nil, true // the same as none: both must hash and compare alike
	}
	all := make([]string, len(list))
	for i, one := range list {
		if all[i], ok = one.(string); !ok {
			return nil, false
		}
	}
	return all, true
}

func lists(v any) ([][]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	var all [][]string // an empty list is none, as in texts
	for _, one := range list {
		line, ok := texts(one)
		if !ok || line == nil {
			return nil, false
		}
		all = append(all, line)
	}
	return all, true
}

func textTable(v any) (map[string]string, bool) {
	t, ok := v.(tomlTable)
	if !ok {
		return nil, false
	}
	if len(t) == 0 {
		return nil, true // as in texts
	}
	all := make(map[string]string, len(t))
	for k, one := range t {
		if all[k], ok = one.(string); !ok {
			return nil, false
		}
	}
	return all, true
}

func oneOf(field *string, v any, allowed ...string) (want string) {
	text, ok := v.(string)
	if !ok || !slices.Contains(allowed, text) {
		return "one of \"" + strings.Join(allowed, `", "`) + `"` + Near(text, allowed)
	}
	*field = text
	return ""
}

var expectForm = regexp.MustCompile(`^(?:(<) ?([1-5][0-9]{2})|([1-5][0-9]{2})(?: ?- ?([1-5][0-9]{2}))?)$`)

// parseExpect reads "<500", "200" and "200-399".
func parseExpect(text string) (Expect, bool) {
	m := expectForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Expect{}, false
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // three digits
		return n
	}
	var e Expect
	switch {
	case m[1] == "<":
		e = Expect{100, number(m[2]) - 1}
	case m[4] != "":
		e = Expect{number(m[3]), number(m[4])}
	default:
		e = Expect{number(m[3]), number(m[3])}
	}
	return e, e.Min <= e.Max
}

// The checks of values, each returning what was wanted, or "".

func whole(low, high int) func(any) string {
	return func(v any) string {
		if n := v.(int); n < low || n > high {
			return fmt.Sprintf("a whole number from %d to %d", low, high)
		}
		return ""
	}
}

func between(low, high time.Duration) func(any) string {
	return func(v any) string {
		if d := v.(time.Duration); d < low || d > high {
			return fmt.Sprintf("a time from %v to %v", low, high)
		}
		return ""
	}
}

func notEmpty(v any) string {
	if v == "" {
		return "a text that is not empty"
	}
	return ""
}

func inside(v any) string {
	if p := v.(string); !filepath.IsLocal(p) {
		return "a path inside source"
	}
	return ""
}

func insideOrNone(v any) string {
	if v.(string) == "" {
		return ""
	}
	return inside(v)
}

func matching(form, want string) func(any) string {
	re := regexp.MustCompile(form)
	return func(v any) string {
		if !re.MatchString(v.(string)) {
			return want
		}
		return ""
	}
}

const (
	wantLocation = `a URL prefix such as "/api", without a slash at its end`
	wantURLPath  = `a URL path such as "/" or "/health?full=1"`
)

var (
	modulePath = matching(`^[A-Za-z_]\w*(/[A-Za-z_]\w*)*$`, "a path whose parts are Python module names")
	wsgi       = matching(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_][\w.()]*)?$`, `a module and its application, such as "api_settings.wsgi:application"`)
	locations  = matching(`^(|/|(/[A-Za-z0-9._~-]+)+)$`, wantLocation)
	urlPaths   = matching(`^/[!-"$-~]*$`, wantURLPath)
	hostName   = matching(`^[A-Za-z0-9.-]+(:[0-9]+)?$`, "a host name")
	workerName = regexp.MustCompile(`^(egg:\S+|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$`)
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// location also refuses . and .., which a client removes from a URL.
func location(v any) string {
	text := v.(string)
	if text != "" && text != "/" && path.Clean(text) != text {
		return wantLocation
	}
	return locations(v)
}

func urlPath(v any) string {
	text := v.(string)
	if u, err := url.ParseRequestURI(text); err != nil || u.Host != "" || strings.HasPrefix(text, "//") {
		return wantURLPath
	}
	return urlPaths(v)
}

// hookCommand wants a program by its path or name, and its arguments.
func hookCommand(v any) string {
	if list := v.([]string); len(list) > 0 && list[0] == "" {
		return `a program and its arguments, ["/usr/local/bin/notify", "…"]`
	}
	return ""
}

func workerClass(v any) string {
	known := []string{"sync", "gthread", "eventlet", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "asgi"}
	if name := v.(string); !slices.Contains(known, name) && !workerName.MatchString(name) {
		return "one of gunicorn's (" + strings.Join(known, ", ") + ") or the dotted path of a class" + Near(name, known)
	}
	return ""
}

func umask(v any) string {
	if m := v.(os.FileMode); m&0o002 == 0 {
		return `an umask that keeps files from being writable by everybody, such as "0027"`
	} else if m&0o700 != 0 {
		return `an umask that leaves the owner all rights, such as "0027"`
	}
	return ""
}

func socketMode(v any) string {
	m := v.(os.FileMode)
	switch {
	case m&0o111 != 0:
		return `a mode without x, such as "0660"`
	case m&0o600 != 0o600:
		return `a mode with which its owner may connect, such as "0660"`
	case m&0o002 != 0:
		return `a mode with which not everybody may connect, such as "0660" with a socket_group that Nginx is in`
	}
	return ""
}

func userName(v any) string {
	name := v.(string)
	if name == "" {
		return ""
	}
	if _, err := user.Lookup(name); err != nil {
		return "a user of this system"
	}
	return ""
}

func groupName(v any) string {
	name := v.(string)
	if name == "" {
		return ""
	}
	if _, err := user.LookupGroup(name); err != nil {
		return "a group of this system"
	}
	return ""
}

func hostPort(text string) string {
	host, port, err := net.SplitHostPort(text)
	_, badPort := strconv.ParseUint(port, 10, 16)
	if err != nil || badPort != nil || host != "" && net.ParseIP(host) == nil && hostName(host) != "" {
		return `an address such as "127.0.0.1:8080"`
	}
	return ""
}
