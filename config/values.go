package config

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// set puts a value of the file into a field. It answers what was wanted where
// the value is not that, else "".
func set(field, v any) (want string) {
	ok := false
	switch f := field.(type) {
	case *string:
		*f, ok = v.(string)
		want = "a text in quotes"
		if strings.ContainsAny(*f, "\x00\n\r") {
			return "a text without line ends"
		}
	case *bool:
		*f, ok = v.(bool)
		want = "true or false"
	case *int:
		var n int64
		n, ok = v.(int64)
		*f = int(n)
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

// value answers what a field holds.
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
	case *map[string]string:
		return *f
	case *os.FileMode:
		return *f
	}
	return nil
}

func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	all := make([]string, len(list))
	for i, one := range list {
		if all[i], ok = one.(string); !ok || strings.ContainsRune(all[i], 0) {
			return nil, false
		}
	}
	return all, true
}

func textTable(v any) (map[string]string, bool) {
	t, ok := v.(tomlTable)
	if !ok {
		return nil, false
	}
	all := make(map[string]string, len(t))
	for k, one := range t {
		if all[k], ok = one.(string); !ok || strings.ContainsRune(all[k], 0) {
			return nil, false
		}
	}
	return all, true
}

func oneOf(field *string, v any, allowed ...string) (want string) {
	text, ok := v.(string)
	if !ok || !slices.Contains(allowed, text) {
		return "one of \"" + strings.Join(allowed, `", "`) + `"` + near(text, allowed)
	}
	*field = text
	return ""
}

var expectForm = regexp.MustCompile(`^(?:(<)([1-5][0-9]{2})|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?)$`)

// parseExpect reads "<500", "200" and "200-399".
func parseExpect(text string) (Expect, bool) {
	m := expectForm.FindStringSubmatch(strings.ReplaceAll(text, " ", ""))
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

// The checks of values, each answering what was wanted, or "".

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

func matching(form, want string) func(any) string {
	re := regexp.MustCompile(form)
	return func(v any) string {
		if !re.MatchString(v.(string)) {
			return want
		}
		return ""
	}
}

var (
	modulePath = matching(`^[A-Za-z_]\w*(/[A-Za-z_]\w*)*$`, "a path whose parts are Python module names")
	wsgi       = matching(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_][\w.()]*)?$`, `a module and its application, such as "api_settings.wsgi:application"`)
	location   = matching(`^(|/|(/[A-Za-z0-9._~-]+)+)$`, `a URL prefix such as "/api", without a slash at its end`)
	urlPath    = matching(`^/[!-~]*$`, `a URL path such as "/"`)
	hostName   = matching(`^[A-Za-z0-9.-]+(:[0-9]+)?$`, "a host name")
	workerName = matching(`^(egg:\S+|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$`, "")
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func workerClass(v any) string {
	known := []string{"sync", "gthread", "eventlet", "gevent", "tornado"}
	if name := v.(string); !slices.Contains(known, name) && workerName(name) != "" {
		return "one of gunicorn's (" + strings.Join(known, ", ") + ") or the dotted path of a class" + near(name, known)
	}
	return ""
}

func command(v any) string {
	list := v.([]string)
	if len(list) == 0 || list[0] == "" {
		return `a program and its arguments, ["{python}", "-m", "…"]`
	}
	return ""
}

func environment(v any) string {
	for k := range v.(map[string]string) {
		if !envName.MatchString(k) {
			return fmt.Sprintf("names of letters, digits and _; %q is none", k)
		}
		if strings.HasPrefix(k, "LISTEN_") || k == "MEDCTRL_GENERATION" || k == "MEDCTRL_READY_FD" {
			return k + " to be left to the supervisor"
		}
	}
	return ""
}

func umask(v any) string {
	if m := v.(os.FileMode); m&0o002 == 0 {
		return `an umask that keeps files from being writable by everybody, such as "0027"`
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
		return `a mode with which not everybody may connect, such as "0660" and a group that Nginx is in`
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
	_, port, err := net.SplitHostPort(text)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		return `an address such as "127.0.0.1:8080"`
	}
	return ""
}

// refusedArgs are gunicorn's flags that would fight the supervisor, and why.
var refusedArgs = map[string]string{
	"bind": "the supervisor makes the socket", "pid": "the supervisor knows the process",
	"daemon": "the supervisor must stay its parent", "config": "the supervisor writes the configuration",
	"reuse-port": "the supervisor makes the socket", "reload": "a release does not change; use watch_source",
	"user": "use the key user", "group": "use the key group", "umask": "use the key umask",
	"workers": "use the key workers", "control-socket": "builds would share it",
}

var refusedShort = map[byte]string{'b': "bind", 'p': "pid", 'D': "daemon", 'c': "config", 'u': "user", 'g': "group", 'm': "umask", 'w': "workers"}

// gunicornArgs refuses arguments that would fight the supervisor. gunicorn's
// parser takes any unambiguous beginning of a long flag (argparse).
func gunicornArgs(v any) string {
	for _, arg := range v.([]string) {
		name, _, _ := strings.Cut(arg, "=")
		flag := ""
		switch {
		case strings.HasPrefix(name, "--") && len(name) > 2:
			for long := range refusedArgs {
				if long == name[2:] || strings.HasPrefix(long, name[2:]) && len(name) > 4 {
					flag = long
				}
			}
		case len(name) > 1 && name[0] == '-' && name[1] != '-':
			flag = refusedShort[name[1]]
		}
		if flag != "" {
			return fmt.Sprintf("no %s: %s", arg, refusedArgs[flag])
		}
	}
	return ""
}
