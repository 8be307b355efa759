package importer

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
)

// service is something that ran: a unit, a program of Supervisor's, a line of a Procfile.
type service struct {
	from     string // the file, as comments name it
	name     string // of the unit or program, without an ending
	instance string // of a template
	dir      string // where it ran; "" where nothing says so
	env      []script.Variable
	envFiles []string
	user     string
	group    string
	umask    string
	words    []string   // what it starts
	pre      [][]string // what runs before, each time
	keys     []kv       // of the build: restart, limits, …
	stop     time.Duration
	own      []kv // of a process: restart, stop_signal, …
	count    int
	oneshot  bool
	endless  bool     // nothing says how long it may take to end
	notes    []string // what has no key
	reasons  []string // why it cannot become an entry
	socket   *socket
}

// note adds what has no key, and why.
func (s *service) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// refuse adds a reason why this cannot become an entry that does the same.
func (s *service) refuse(format string, args ...any) {
	s.reasons = append(s.reasons, fmt.Sprintf(format, args...))
}

// lookup returns the last value of a variable.
func (s *service) lookup(name string) (string, bool) {
	for i := len(s.env) - 1; i >= 0; i-- {
		if s.env[i].Name == name {
			return s.env[i].Value, true
		}
	}
	return "", false
}

// command is a program and its arguments, without what it was wrapped in.
type command struct {
	args    []string // args[0] as it was written
	program string   // gunicorn, celery, manage.py, python, …
	venv    string   // of the interpreter; "" where that cannot be told
	dir     string   // where it runs
}

// mostWraps is how deep a command may be wrapped in others.
const mostWraps = 12

// runners start what follows them, in an environment that a release makes itself.
var runners = map[string]string{"poetry": "run", "pipenv": "run", "uv": "run", "pdm": "run", "rye": "run", "hatch": "run"}

// tracers start what follows them, and watch it.
var tracers = map[string]int{"newrelic-admin": 1, "ddtrace-run": 0, "opentelemetry-instrument": 0, "scout-run": 0, "dotenv": 1, "honcho": 1}

// shells, and what only changes how a process runs.
var (
	shells   = []string{"sh", "bash", "dash", "ash", "zsh"}
	harmless = []string{"nohup", "setsid", "exec", "dumb-init", "tini", "stdbuf", "time", "command", "unbuffer", "chpst"}
	pythons  = regexp.MustCompile(`^(python|pypy)[0-9.]*$`)
)

// unwrap finds the program that a service really runs. ok is false where that cannot be told, for a
// reason that the service then has.
func (w *work) unwrap(s *service, words []string) (c command, ok bool) {
	c.dir = s.dir
	for range mostWraps {
		if len(words) == 0 || words[0] == "" {
			s.refuse("%s starts nothing that can be told: %v", s.from, errNoProgram)
			return c, false
		}
		program, rest := path.Base(words[0]), words[1:]
		if bin := path.Dir(words[0]); path.Base(bin) == "bin" && !slices.Contains([]string{"/bin", "/usr/bin", "/usr/local/bin"}, bin) {
			c.venv = w.absolute(path.Dir(bin), c.dir)
		}
		switch {
		case slices.Contains(harmless, program):
			words = withoutFlags(rest)
		case program == "env":
			words = s.assign(withoutFlags(rest))
		case program == "nice", program == "ionice", program == "chrt", program == "taskset":
			s.note("%s: no key; the supervisor starts everything with the usual priority", program)
			words = priority(rest)
		case runners[program] != "" && len(rest) > 0 && rest[0] == runners[program]:
			words = withoutFlags(rest[1:])
			s.note("%s run: a release has an environment of its own, from requirements.txt or pyproject.toml (of poetry.lock or Pipfile.lock export a requirements file)", program)
		case tracers[program] > 0 || program == "ddtrace-run" || program == "opentelemetry-instrument" || program == "scout-run":
			n := tracers[program]
			if len(rest) < n {
				n = len(rest)
			}
			words = withoutFlags(rest[n:])
			s.note("%s around the server: no key; call it in the WSGI file, or by a `command` of your own", program)
		case program == "sudo":
			words = s.sudo(rest)
		case slices.Contains([]string{"docker", "docker-compose", "podman", "nerdctl", "kubectl", "flatpak", "snap"}, program):
			s.refuse("%s starts a container: the supervisor runs the project itself, from a checkout", program)
			return c, false
		case slices.Contains([]string{"su", "runuser", "start-stop-daemon", "supervisord", "screen", "tmux", "honcho", "foreman"}, program):
			s.refuse("%s starts something else, which this cannot follow: give what it runs as a file of its own", program)
			return c, false
		case slices.Contains(shells, program):
			return w.inShell(s, c, rest)
		case pythons.MatchString(program):
			return w.python(s, c, words)
		case program == "manage.py", program == "django-admin":
			c.args, c.program = words, "manage.py"
			if path.Dir(words[0]) != "." && program == "manage.py" {
				c.dir = w.absolute(path.Dir(words[0]), c.dir)
			}
			return c, true
		case strings.HasSuffix(program, ".sh") || w.isScript(w.absolute(words[0], c.dir)):
			return w.inFile(s, c, words[0])
		case program != "celery" && servers[program] == "" && isServer(rest):
			s.refuse("%s starts the server, and what it does besides is not known here: give the server's own command", redact.Shown(words[0]))
			return c, false
		default:
			c.args, c.program = words, program
			return c, true
		}
	}
	s.refuse("%s starts a program through too many others", s.from)
	return c, false
}

// absolute returns a path from where a service runs; it stays relative where that is not known.
func (w *work) absolute(file, dir string) string {
	if !path.IsAbs(file) && dir != "" {
		return path.Join(dir, file)
	}
	return path.Clean(file)
}

// withoutFlags leaves out the options before a program.
func withoutFlags(words []string) []string {
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		stop := words[0] == "--"
		words = words[1:]
		if stop {
			break
		}
	}
	return words
}

// priority leaves out the options and numbers before a program, nice -n 10.
func priority(words []string) []string {
	number := regexp.MustCompile(`^-?[0-9,xa-f-]+$`)
	for len(words) > 1 && (strings.HasPrefix(words[0], "-") || number.MatchString(words[0])) {
		words = words[1:]
	}
	return words
}

// assign takes NAME=VALUE off the beginning.
func (s *service) assign(words []string) []string {
	for len(words) > 0 {
		name, value, ok := strings.Cut(words[0], "=")
		if !ok || !envName.MatchString(name) {
			break
		}
		s.env = append(s.env, script.Variable{Name: name, Value: value})
		words = words[1:]
	}
	return words
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// sudo takes sudo -u USER off.
func (s *service) sudo(words []string) []string {
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		flag := words[0]
		words = words[1:]
		if flag == "-u" && len(words) > 0 {
			s.user, words = words[0], words[1:]
		} else if flag == "-g" && len(words) > 0 {
			s.group, words = words[0], words[1:]
		} else if name, ok := strings.CutPrefix(flag, "--user="); ok {
			s.user = name
		}
	}
	return s.assign(words)
}

// python finds what an interpreter runs.
func (w *work) python(s *service, c command, words []string) (command, bool) {
	rest := words[1:]
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") && rest[0] != "-m" && rest[0] != "-c" {
		if rest[0] == "-W" || rest[0] == "-X" {
			rest = rest[min(1, len(rest)):]
		}
		rest = rest[min(1, len(rest)):]
	}
	switch {
	case len(rest) > 1 && rest[0] == "-m":
		module := rest[1]
		if servers[module] != "" || module == "celery" {
			c.args, c.program = append([]string{module}, rest[2:]...), module
			return c, true
		}
		c.args, c.program = append([]string{"python", "-m", module}, rest[2:]...), "python"
		return c, true
	case len(rest) > 0 && rest[0] != "-m" && rest[0] != "-c":
		program := path.Base(rest[0])
		switch {
		case program == "manage.py":
			if dir := path.Dir(rest[0]); dir != "." {
				c.dir = w.absolute(dir, c.dir)
			}
			c.args, c.program = rest, program
			return c, true
		case servers[program] != "" || program == "celery": // python venv/bin/gunicorn
			c.args, c.program = rest, program
			return c, true
		}
	}
	c.args, c.program = append([]string{"python"}, words[1:]...), "python"
	return c, true
}

// inShell follows sh -c TEXT and sh FILE.
func (w *work) inShell(s *service, c command, rest []string) (command, bool) {
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		if strings.HasSuffix(rest[0], "c") && !strings.HasPrefix(rest[0], "--") && len(rest) > 1 {
			return w.follow(s, c, rest[1])
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		s.refuse("%s starts a shell that is told nothing", s.from)
		return c, false
	}
	return w.inFile(s, c, rest[0])
}

// isScript reports whether a file is a shell script.
func (w *work) isScript(file string) bool {
	if !path.IsAbs(file) || servers[path.Base(file)] != "" || path.Base(file) == "celery" || !w.m.IsFile(file) {
		return false
	}
	text, err := w.read(file)
	return err == nil && shebang.MatchString(text) && !polyglot.MatchString(text)
}

// polyglot is what pip writes for a Python program whose interpreter has a long path.
var polyglot = regexp.MustCompile(`^#![^\n]*\n\s*("exec"|'''exec'|"""?:"|'')`)

var shebang = regexp.MustCompile(`^#! ?(/usr)?/bin/(env )?(ba|da|a|z)?sh\b`)

// inFile follows a script that is started.
func (w *work) inFile(s *service, c command, file string) (command, bool) {
	file = w.absolute(file, c.dir)
	text, err := w.read(file)
	if err != nil {
		s.refuse("it starts the script %s, which cannot be read here: %v", file, err)
		return c, false
	}
	s.note("it starts the script %s, which was followed: what it does besides is not done any more", file)
	w.used = append(w.used, file)
	return w.follow(s, c, text)
}

// follow finds the one program that a piece of shell is about: a server, else the last command.
func (w *work) follow(s *service, c command, text string) (command, bool) {
	if w.following++; w.following > mostWraps {
		s.refuse("its scripts start each other in a circle")
		return c, false
	}
	defer func() { w.following-- }()
	known := map[string]string{}
	for _, v := range s.env {
		known[v.Name] = v.Value
	}
	for _, v := range w.varsOf(s.envFiles) {
		known[v.Name] = v.Value
	}
	if _, ok := known["PORT"]; !ok {
		known["PORT"] = "$PORT" // what it is bound to has no meaning here
	}
	sc, err := script.Read(text, c.dir, known)
	if err != nil {
		s.refuse("%v", err)
		return c, false
	}
	if sc.Venv != "" {
		c.venv = sc.Venv
	}
	s.env = append(s.env, sc.Exported...)
	s.envFiles = append(s.envFiles, sc.EnvFiles...)
	for _, v := range sc.Assumed {
		if redact.IsSecret(v.Name, v.Value) {
			v.Value = "what the file says"
		}
		s.note("%s is not set here, and %s stands for it: look at what it was", v.Name, redact.Shown(v.Value))
	}
	for _, name := range sc.Unknown {
		if name == "PATH" || name == "PYTHONPATH" || slices.Contains(ownVariables, name) {
			s.note("the script sets %s: left out, a release has its own", name)
		} else {
			s.refuse("the script sets %s to what is only known while it runs: write the value into env_file, and take the line out", name)
		}
	}
	if len(sc.Commands) == 0 {
		s.refuse("its shell command starts no program that can be told")
		return c, false
	}
	at := len(sc.Commands) - 1
	for i, one := range sc.Commands {
		if isServer(one.Words) {
			at = i
		}
	}
	for i, one := range sc.Commands {
		switch {
		case i == at:
		case i < at && isManage(one.Words):
			s.pre = append(s.pre, one.Words)
		case i < at && slices.Contains([]string{"mkdir", "rm", "chown", "chmod", "export", "rmdir", "touch"}, path.Base(one.Words[0])):
			s.note("«%s» before it: not done any more", redact.Shown(strings.Join(one.Words, " ")))
		default:
			s.note("«%s» beside it: no key, unless as a [[build.process]] or in [build.steps]", redact.Shown(strings.Join(one.Words, " ")))
		}
	}
	one := sc.Commands[at]
	if !one.Plain {
		s.refuse("«%s» uses what is only known while it runs: write the values out", redact.Shown(strings.Join(one.Words, " ")))
	}
	if one.Piped {
		s.note("what it prints went into a pipe: it goes to the build's log now")
	}
	s.env = append(s.env, one.Env...)
	inner := *s
	inner.dir = one.Dir
	if inner.dir == "" {
		inner.dir = c.dir
	}
	found, ok := w.unwrap(&inner, one.Words)
	dir := s.dir
	*s = inner
	s.dir = dir
	if found.venv == "" {
		found.venv = c.venv
	}
	return found, ok
}

// isServer reports whether a command starts a server of a Django project, however it is wrapped.
func isServer(words []string) bool {
	for _, word := range words {
		if servers[path.Base(word)] != "" || word == "runserver" {
			return true
		}
	}
	return false
}

func isManage(words []string) bool {
	for i, word := range words {
		if i < 6 && (filepath.Base(word) == "manage.py" || word == "django-admin") {
			return true
		}
	}
	return false
}

var errNoProgram = errors.New("it names no program")
