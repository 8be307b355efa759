package importer

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// gunicornFlags are gunicorn's flags that take a value, and those that do not.
var (
	gunicornFlags = strings.Fields(`config bind backlog workers worker-class threads worker-connections max-requests max-requests-jitter timeout graceful-timeout keep-alive
		limit-request-line limit-request-fields limit-request-field_size reload-engine reload-extra-file chdir env pid worker-tmp-dir user group umask forwarded-allow-ips
		access-logfile access-logformat error-logfile log-file log-level logger-class log-config log-config-json log-syslog-to log-syslog-prefix log-syslog-facility
		statsd-host statsd-prefix dogstatsd-tags name pythonpath paste paster proxy-allow-from keyfile certfile ssl-version cert-reqs ca-certs ciphers root-path
		forwarder-headers header-map asgi-loop asgi-lifespan asgi-disconnect-grace-period http-parser http-protocols http2-max-concurrent-streams
		control-socket control-socket-mode dirty-app dirty-workers dirty-timeout dirty-threads dirty-graceful-timeout proxy-protocol-mode`)
	gunicornSwitches = strings.Fields(`reload spew check-config print-config preload no-sendfile reuse-port daemon initgroups disable-redirect-access-to-syslog capture-output
		log-syslog enable-stdio-inheritance proxy-protocol do-handshake-on-connect suppress-ragged-eofs permit-obsolete-folding strip-header-spaces
		permit-unconventional-http-method permit-unconventional-http-version casefold-http-method no-control-socket enable-backlog-metric`)
	gunicornShort = map[byte]string{
		'c': "config", 'b': "bind", 'w': "workers", 'k': "worker-class", 't': "timeout", 'p': "pid", 'u': "user", 'g': "group", 'm': "umask", 'e': "env", 'n': "name", 'D': "daemon", 'R': "enable-stdio-inheritance",
	}
	// gunicornNames are settings whose names in a file are not those of their flags.
	gunicornNames = map[string]string{
		"accesslog": "access-logfile", "errorlog": "error-logfile", "loglevel": "log-level", "access_log_format": "access-logformat", "logconfig": "log-config", "logconfig_json": "log-config-json",
		"proc_name": "name", "pidfile": "pid", "preload_app": "preload", "raw_env": "env", "keepalive": "keep-alive", "keep_alive": "keep-alive", "sendfile": "sendfile",
		"limit_request_field_size": "limit-request-field_size", "syslog": "log-syslog", "syslog_addr": "log-syslog-to", "syslog_prefix": "log-syslog-prefix", "proxy_allow_ips": "proxy-allow-from", "reload_extra_files": "reload-extra-file",
	}
	// gunicornInFile are settings that there is no flag for.
	gunicornInFile = strings.Fields(`tmp_upload_dir secure_scheme_headers logconfig_dict ssl_context django_settings default_proc_name dogstatsd`)
	// gunicornHooks are the functions that gunicorn calls.
	gunicornHooks = strings.Fields(`on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context`)
)

// gunicorn collects what a gunicorn was told: by a file, GUNICORN_CMD_ARGS and its command line, each
// overriding the one before.
type gunicorn struct {
	flags map[string]string // of flags without a value "true"
	order []string
	env   []string
	app   string
}

func (g *gunicorn) set(name, value string) {
	if name == "env" {
		g.env = append(g.env, value)
		return
	}
	if _, ok := g.flags[name]; !ok {
		g.order = append(g.order, name)
	}
	g.flags[name] = value
}

// args reads a command line as argparse does.
func (g *gunicorn) args(e *entry, args []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, joined := strings.Cut(arg, "=")
		take := func(flag string) {
			if !joined {
				if i++; i >= len(args) {
					e.refuse("gunicorn's %s has no value", redact.Shown(arg))
					return
				}
				value = args[i]
			}
			g.set(flag, value)
		}
		switch {
		case arg == "--":
			if i+1 < len(args) {
				g.app = args[i+1]
			}
			return
		case strings.HasPrefix(arg, "--"):
			flag, takes := longFlag(name[2:])
			switch {
			case flag == "":
				e.refuse("gunicorn's %s is not known here: take it out, or put it into gunicorn_args yourself", redact.Shown(name))
				return
			case takes:
				take(flag)
			default:
				g.set(flag, "true")
			}
		case len(arg) > 1 && arg[0] == '-':
			for rest := arg[1:]; rest != ""; rest = rest[1:] {
				flag := gunicornShort[rest[0]]
				if flag == "daemon" || flag == "enable-stdio-inheritance" {
					g.set(flag, "true")
					continue
				}
				if flag == "" {
					e.refuse("gunicorn's %s is not known here", redact.Shown(arg))
					return
				}
				value, joined = strings.TrimPrefix(rest[1:], "="), len(rest) > 1
				take(flag)
				break
			}
		default:
			g.app = arg
		}
	}
}

// longFlag returns the flag that a name or its beginning means.
func longFlag(name string) (flag string, takes bool) {
	if slices.Contains(gunicornFlags, name) {
		return name, true
	}
	if slices.Contains(gunicornSwitches, name) {
		return name, false
	}
	n := 0
	for _, known := range gunicornFlags {
		if strings.HasPrefix(known, name) {
			flag, takes = known, true
			n++
		}
	}
	for _, known := range gunicornSwitches {
		if strings.HasPrefix(known, name) {
			flag, takes = known, false
			n++
		}
	}
	if n != 1 || name == "" {
		return "", false
	}
	return flag, takes
}

// file reads gunicorn's settings file. Without -c gunicorn reads the one in its folder.
func (w *work) gunicornFile(e *entry, g *gunicorn, c command, named string) {
	file := named
	if module, ok := strings.CutPrefix(named, "python:"); ok {
		file = strings.ReplaceAll(module, ".", "/") + ".py"
	}
	file = strings.TrimPrefix(file, "file:")
	if named == "" {
		if file = w.absolute("gunicorn.conf.py", c.dir); !path.IsAbs(file) || !w.m.IsFile(file) {
			return
		}
	}
	file = w.absolute(file, c.dir)
	text, ok := w.given[file]
	if !ok {
		var err error
		if text, err = w.read(file); err != nil {
			for other, held := range w.given { // given by its path in a checkout
				if path.Base(other) == path.Base(file) {
					text, err, ok, file = held, nil, true, other
				}
			}
			if err != nil {
				e.refuse("gunicorn's settings file %s cannot be read here: %v", file, err)
				return
			}
		}
	}
	w.taken[file] = true
	w.used = append(w.used, file)
	w.readConf(e, g, file, text)
}

// gunicorn turns what gunicorn was told into keys.
func (w *work) gunicorn(e *entry, s *service, c command) {
	g := &gunicorn{flags: map[string]string{}}
	line := &gunicorn{flags: map[string]string{}}
	line.args(e, c.args[1:])
	if to := line.flags["chdir"]; to != "" {
		c.dir = w.absolute(to, c.dir)
	}
	w.gunicornFile(e, g, c, line.flags["config"])
	if text, ok := w.value(s, "WEB_CONCURRENCY"); ok && g.flags["workers"] == "" {
		g.set("workers", text)
	}
	if text, ok := w.value(s, "GUNICORN_CMD_ARGS"); ok {
		words, err := unitfile.SplitWords(text)
		if err != nil {
			e.refuse("GUNICORN_CMD_ARGS: %v", err)
		}
		g.args(e, words)
	}
	for _, name := range line.order {
		g.set(name, line.flags[name])
	}
	g.env = append(g.env, line.env...)
	if line.app != "" {
		g.app = line.app
	}
	for _, one := range g.env {
		if name, value, ok := strings.Cut(one, "="); ok {
			s.env = append(s.env, script.Variable{Name: name, Value: value})
		}
	}
	if g.app == "" {
		e.refuse("gunicorn is not told which application it serves")
	} else if !moduleName.MatchString(strings.SplitN(g.app, ":", 2)[0]) {
		e.refuse("gunicorn's application %q is no module", redact.Shown(g.app))
	} else {
		e.set("wsgi", tomltext.Text(g.app), "")
		e.app = g.app
	}
	if g.flags["workers"] == "" {
		g.set("workers", "1") // gunicorn's own default; ours is 2
	}
	if g.flags["bind"] == "" {
		e.binds("127.0.0.1:8000", s) // gunicorn's own default, unless a socket unit has it
	}
	stop := s.stop
	var args []string
	for _, name := range g.order {
		value := g.flags[name]
		switch name {
		case "config", "chdir":
		case "workers", "threads":
			n, err := strconv.Atoi(value)
			if err != nil {
				e.refuse("gunicorn's --%s %q is no number", name, redact.Shown(value))
			} else if name == "workers" || n != 1 {
				e.set(name, strconv.Itoa(n), "")
			}
		case "worker-class":
			if value != "sync" {
				e.set("worker_class", tomltext.Text(value), "")
			}
		case "timeout", "graceful-timeout":
			n, err := strconv.Atoi(value)
			switch {
			case err != nil:
				e.refuse("gunicorn's --%s %q is no number of seconds", name, redact.Shown(value))
			case name == "timeout" && n == 0:
				e.set("timeout", `"24h"`, "gunicorn's 0, none at all, is not to be had: this is the longest")
			case name == "timeout" && n != 30:
				e.set("timeout", tomltext.Text(span(time.Duration(n)*time.Second)), "")
			case name == "graceful-timeout":
				e.grace(time.Duration(n)*time.Second, stop)
			}
		case "bind":
			e.binds(value, s)
		case "user":
			s.user = value
		case "group":
			s.group = value
		case "umask":
			s.umask = value
		case "pid", "daemon", "reuse-port", "no-control-socket", "control-socket", "control-socket-mode", "initgroups", "backlog", "worker-tmp-dir":
			e.unneeded("gunicorn's --" + name)
		case "reload", "reload-engine", "reload-extra-file":
			e.note("gunicorn's --%s: a release does not change; `watch_source = true` makes a new one at each change", name)
		case "keyfile", "certfile", "ssl-version", "cert-reqs", "ca-certs", "ciphers", "do-handshake-on-connect", "suppress-ragged-eofs":
			e.note("gunicorn's --%s: no key; TLS ends at Nginx, which connects to a unix socket", name)
		case "proxy-protocol", "proxy-protocol-mode", "proxy-allow-from":
			e.note("gunicorn's --%s: left out, as the health probe does not speak it", name)
		case "spew", "check-config", "print-config":
			e.note("gunicorn's --%s: left out, it does not serve", name)
		case "paste", "paster":
			e.refuse("gunicorn's --%s: no key; name the application in wsgi", name)
		case "pythonpath":
			e.note("gunicorn's --pythonpath %s: left out, as it names the checkout or the old folder; a release's app_dir is on the path", redact.Shown(value))
		case "statsd-host", "statsd-prefix", "name", "log-level", "logger-class":
			args = append(args, "--"+name+"="+value)
		case "access-logfile", "error-logfile", "log-file", "log-config", "log-config-json":
			switch {
			case value == "-" && name == "access-logfile":
				args = append(args, "--access-logfile=-")
			case value == "-", value == "":
				e.unneeded("gunicorn's --" + name) // standard error is where it goes by itself
			case !path.IsAbs(value) && strings.HasPrefix(name, "log-config"):
				args = append(args, "--"+name+"="+value)
			case !path.IsAbs(value):
				e.note("gunicorn's --%s %s: left out, a release is not writable; `medctrl-supervisor logs` has what it prints", name, redact.Shown(value))
			default:
				args = append(args, "--"+name+"="+value)
				e.note("gunicorn's --%s %s: the build's user must be able to write there, and logrotate must copy and truncate; --%s=- writes to the build's log", name, value, name)
			}
		default:
			switch {
			case slices.Contains(gunicornInFile, name):
				e.note("gunicorn's %s: no flag, so it cannot be passed on", name)
			case slices.Contains(gunicornSwitches, name):
				args = append(args, "--"+name)
			default:
				args = append(args, "--"+name+"="+value)
			}
		}
	}
	if g.flags["graceful-timeout"] == "" {
		e.grace(0, stop)
	}
	if redact.SecretsIn(args) {
		e.refuse("gunicorn's arguments have what may be a password: put it into env_file")
	} else if len(args) > 0 {
		e.set("gunicorn_args", tomltext.Texts(args), "")
	}
	e.dir = c.dir
}

// moduleName is a dotted Python name.
var moduleName = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)

// grace sets graceful_timeout: gunicorn's own time, of which the service manager may leave less.
func (e *entry) grace(own, stop time.Duration) {
	const standard = 30 * time.Second // gunicorn's and ours
	t, why := standard, ""
	if own > 0 {
		t = own
	}
	if stop > 0 && stop < t {
		t, why = stop, "after that the service manager killed it"
	}
	if t != standard {
		e.set("graceful_timeout", tomltext.Text(span(max(t, time.Second))), why)
	}
}

// binds says what becomes of the address that gunicorn listened on.
func (e *entry) binds(value string, s *service) {
	if s.socket != nil {
		return // that says it
	}
	for one := range strings.SplitSeq(value, ",") {
		one = strings.TrimSpace(one)
		switch {
		case strings.HasPrefix(one, "fd://"):
			e.unneeded("gunicorn's --bind")
		case strings.HasPrefix(one, "unix:"):
			e.note("Nginx has to connect to root/NAME/gunicorn.sock in place of %s: `medctrl-supervisor nginx` prints the block", redact.Shown(strings.TrimPrefix(one, "unix:")))
		default:
			e.note("Nginx has to connect to root/NAME/gunicorn.sock in place of %s: `medctrl-supervisor nginx` prints the block; without Nginx, `front` in [supervisor]", redact.Shown(one))
		}
	}
}
