package importer

import (
	"path"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// servers are the programs that serve a Django project, and what they are.
var servers = map[string]string{
	"gunicorn": "gunicorn", "gunicorn3": "gunicorn", "gunicorn_django": "gunicorn", "uvicorn": "uvicorn", "daphne": "daphne", "hypercorn": "hypercorn",
	"waitress-serve": "waitress", "waitress": "waitress", "uwsgi": "uwsgi", "granian": "granian",
}

// developing are the commands of manage.py that serve while one writes code.
var developing = map[string]bool{"runserver": true, "runserver_plus": true, "run_gunicorn": true, "testserver": true}

// serves reports whether a command is a web server's.
func (c command) serves() bool {
	return servers[c.program] != "" || c.program == "manage.py" && len(c.args) > 1 && developing[c.args[1]]
}

// otherServer makes the key command for a server that is not gunicorn, as docs/servers.md has it.
func (w *work) otherServer(e *entry, c command) {
	kind := servers[c.program]
	if kind == "" {
		e.note("manage.py %s is for developing: gunicorn serves in its place, with the defaults of the keys", c.args[1])
		return
	}
	args := c.args[1:]
	switch kind {
	case "uvicorn":
		out, app := []string{"{python}", "-m", "uvicorn", "--fd", "3"}, ""
		for i := 0; i < len(args); i++ {
			name, value, joined := strings.Cut(args[i], "=")
			next := func() string {
				if !joined && i+1 < len(args) {
					i++
					value = args[i]
				}
				return value
			}
			switch name {
			case "--host", "--port", "--uds", "--fd":
				e.note("%s %s: the supervisor makes the socket, root/NAME/gunicorn.sock, for Nginx", name, redact.Shown(next()))
			case "--reload", "--reload-dir", "--reload-include", "--reload-exclude":
				if name != "--reload" {
					next()
				}
				e.note("%s: a release does not change; `watch_source = true` makes a new one at each change", name)
			case "--env-file":
				e.envFiles = append(e.envFiles, w.absolute(next(), c.dir))
			case "--app-dir":
				e.note("--app-dir %s: the server runs in app_dir", redact.Shown(next()))
			case "--ssl-keyfile", "--ssl-certfile":
				next()
				e.note("%s: no key; TLS ends at Nginx", name)
			case "--proxy-headers", "--no-proxy-headers", "--no-access-log", "--access-log", "--use-colors", "--no-use-colors", "--factory", "--no-server-header", "--no-date-header":
				out = append(out, args[i])
			default:
				switch {
				case strings.HasPrefix(name, "-") && joined:
					out = append(out, args[i])
				case strings.HasPrefix(name, "-"):
					out = append(out, name, next())
				default:
					app = name
				}
			}
		}
		e.server(append(out, app), app)
	case "daphne":
		app := ""
		for i := 0; i < len(args); i++ {
			name, _, joined := strings.Cut(args[i], "=")
			switch {
			case !strings.HasPrefix(name, "-"):
				app = name
			case name == "--proxy-headers":
			default:
				if !joined && i+1 < len(args) {
					i++
				}
				e.note("daphne's %s: left out, look at docs/servers.md for what daphne needs here", redact.Shown(name))
			}
		}
		e.server([]string{"{python}", "-m", "daphne", "--endpoint", "systemd:domain=UNIX:index=0", app}, app)
	case "hypercorn":
		out, app := []string{"{python}", "-m", "hypercorn", "--bind", "fd://3", "--backlog", "2048"}, ""
		for i := 0; i < len(args); i++ {
			name, value, joined := strings.Cut(args[i], "=")
			if !strings.HasPrefix(name, "-") {
				app = name
				continue
			}
			if !joined && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value = args[i]
			}
			switch name {
			case "-w", "--workers", "--graceful-timeout", "-k", "--worker-class", "--keep-alive":
				out = append(out, name, value)
			default:
				e.note("hypercorn's %s: left out, look at docs/servers.md for what hypercorn needs here", redact.Shown(name))
			}
		}
		e.server(append(out, app), app)
	case "waitress":
		app, threads := "", "8"
		for _, arg := range args {
			name, value, _ := strings.Cut(arg, "=")
			switch {
			case !strings.HasPrefix(name, "-"):
				app = name
			case name == "--threads":
				threads = value
			default:
				e.note("waitress's %s: left out, look at docs/servers.md for what waitress needs here", redact.Shown(name))
			}
		}
		module, object, ok := strings.Cut(app, ":")
		if n, err := strconv.Atoi(threads); !ok || err != nil || n < 1 || !moduleName.MatchString(module) || !envName.MatchString(object) {
			e.refuse("waitress is told in a way that this does not follow: see docs/servers.md for its `command`")
			return
		}
		e.server([]string{"{python}", "-c", "import socket, waitress; from " + module + " import " + object +
			"; waitress.serve(" + object + ", sockets=[socket.socket(fileno=3)], backlog=2048, threads=" + threads + ")"}, app)
	default:
		e.refuse("%s: its options are not translated. docs/servers.md has a `command` for uWSGI that works; gunicorn needs only wsgi and workers", path.Base(c.program))
	}
}

// server sets the command of another server than gunicorn.
func (e *entry) server(args []string, app string) {
	if app == "" {
		e.refuse("the server is not told which application it serves")
		return
	}
	if redact.SecretsIn(args) {
		e.refuse("the server's command has what may be a password: put it into env_file")
		return
	}
	e.set("command", tomltext.Texts(args), "the server as before, on the supervisor's socket")
}
