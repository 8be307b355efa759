package importer

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// varsOf returns the variables in files, as far as these can be read. Only single lines count.
func (w *work) varsOf(files []string) []script.Variable {
	var all []script.Variable
	for _, file := range files {
		text, err := w.read(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			line = strings.TrimSpace(strings.TrimPrefix(line, "export "))
			name, value, ok := strings.Cut(line, "=")
			name = strings.TrimSpace(name)
			if !ok || !envName.MatchString(name) {
				continue
			}
			value = strings.TrimSpace(value)
			if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
				value = value[1 : n-1]
			}
			all = append(all, script.Variable{Name: name, Value: value})
		}
	}
	return all
}

// value returns a variable of a service as it saw it: a file counts before Environment=.
func (w *work) value(s *service, name string) (string, bool) {
	for _, v := range slices.Backward(w.varsOf(s.envFiles)) {
		if v.Name == name {
			return v.Value, true
		}
	}
	return s.lookup(name)
}

func has(all []script.Variable, name string) bool {
	return slices.ContainsFunc(all, func(v script.Variable) bool { return v.Name == name })
}

// ownVariables are those that the supervisor sets, and that a build may not.
var ownVariables = strings.Fields("VIRTUAL_ENV VIRTUAL_ENV_PROMPT PYTHONHOME SPT_NOENV NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC GUNICORN_CMD_ARGS WEB_CONCURRENCY DJANGO_SETTINGS_MODULE PWD OLDPWD PIPENV_ACTIVE POETRY_ACTIVE CONDA_PREFIX")

// notInFile are variables that a file of variables may have had, and an env_file may not.
var notInFile = strings.Fields("DJANGO_SETTINGS_MODULE GUNICORN_CMD_ARGS WEB_CONCURRENCY VIRTUAL_ENV PYTHONPATH PATH NOTIFY_SOCKET")

// environment sorts the variables of a build: into env, into env_file, or to nowhere.
func (w *work) environment(e *entry) {
	files := slices.Compact(slices.Clone(e.s.envFiles))
	held := w.varsOf(files)
	var secret []string
	values := map[string]string{}
	var names []string
	for _, v := range e.s.env {
		if !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
		values[v.Name] = v.Value
	}
	for _, name := range names {
		value := values[name]
		switch {
		case !envName.MatchString(name):
			e.note("the variable %s: this is no name, and left out", redact.Shown(name))
		case slices.Contains(ownVariables, name), strings.HasPrefix(name, "LISTEN_"), strings.HasPrefix(name, "MEDCTRL_"):
			e.unneeded("the variable " + name)
		case name == "PATH":
			w.path(e, value)
		case name == "PYTHONPATH":
			e.note("PYTHONPATH=%s: left out, it names the checkout or the old folder; a release's app_dir is on the path. Folders outside the project: set it in [build.env]", redact.Shown(value))
		case has(held, name):
			e.note("%s: the env_file has it too, and its value counted", name)
		case redact.IsSecret(name, value):
			secret = append(secret, name)
		case strings.ContainsAny(value, "\x00\n"):
			e.refuse("%s has a value of several lines: write it into [build.env] yourself", name)
		default:
			e.sub("env", name, tomltext.Text(value), "")
			e.names[name] = true
		}
	}
	w.envFile(e, files, secret)
}

// path says what becomes of PATH: what is first in it was the old environment.
func (w *work) path(e *entry, value string) {
	var left []string
	usual := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/snap/bin", "/usr/games", "/usr/local/games", "$PATH", "${PATH}", ""}
	for _, dir := range strings.Split(value, ":") {
		dir = strings.TrimSuffix(dir, "/")
		switch {
		case slices.Contains(usual, dir):
		case e.venv != "" && dir == path.Join(e.venv, "bin"), w.m.IsFile(path.Join(path.Dir(dir), "pyvenv.cfg")), path.Base(dir) == "bin" && venvLike(path.Base(path.Dir(dir))):
		default:
			left = append(left, dir)
		}
	}
	if len(left) == 0 {
		e.unneeded("PATH with the old environment")
		return
	}
	e.sub("env", "PATH", tomltext.Text(strings.Join(append(left, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"), ":")), "without the old environment; the release's comes first by itself")
	e.names["PATH"] = true
}

func venvLike(name string) bool { return strings.Contains(name, "env") }

// envFile sets env_file: to the file that there was, or to one that is to be made.
func (w *work) envFile(e *entry, files, secret []string) {
	if len(files) == 0 && len(secret) == 0 {
		return
	}
	made := path.Join(path.Dir(w.o.File), e.name+".env")
	there := w.varsOf([]string{made})
	lacks := func(all []script.Variable) []string {
		return slices.DeleteFunc(slices.Clone(secret), func(name string) bool { return has(all, name) })
	}
	var forbidden []string // what config refuses in an env_file, or what names the old environment
	for _, v := range w.varsOf(files) {
		if slices.Contains(notInFile, v.Name) && !slices.Contains(forbidden, v.Name) {
			forbidden = append(forbidden, v.Name)
		}
	}
	if len(files) == 1 && len(secret)+len(forbidden) == 0 {
		e.set("env_file", tomltext.Text(files[0]), "")
		return
	}
	e.set("env_file", tomltext.Text(made), "")
	var missing []string
	for _, v := range w.varsOf(files) {
		if !has(there, v.Name) && !slices.Contains(missing, v.Name) && !slices.Contains(notInFile, v.Name) {
			missing = append(missing, v.Name)
		}
	}
	missing = append(missing, lacks(there)...)
	switch {
	case len(missing) == 0 && w.m.IsFile(made):
		if len(secret) > 0 {
			e.note("%s: in env_file", strings.Join(secret, ", "))
		}
		return
	case w.m.IsFile(made):
		e.refuse("%s does not have %s: add a line NAME=VALUE for each, as root", made, strings.Join(missing, ", "))
		return
	}
	how := fmt.Sprintf("\n$ sudo install -D -m 0600 /dev/null %s", shellWord(made))
	if len(files) > 0 {
		words := make([]string, len(files))
		for i, file := range files {
			words[i] = shellWord(file)
		}
		how += fmt.Sprintf("\n$ sudo awk 1 %s | grep -vE '^(export )?(%s)=' | sudo tee -a %s >/dev/null", strings.Join(words, " "), strings.Join(notInFile, "|"), shellWord(made))
	}
	if len(secret) > 0 {
		how += fmt.Sprintf("\n$ sudoedit %s", shellWord(made))
	}
	switch {
	case len(files) > 1:
		e.refuse("there were %d files of variables, and env_file is one. To make it, for root alone:%s", len(files), how)
	case len(files) == 1 && len(secret) == 0:
		e.refuse("%s sets %s, which a build may not. To make a file without that, for root alone:%s", files[0], strings.Join(forbidden, ", "), how)
	default:
		e.refuse("%s may be secret, and builds.toml is no place for it. To make a file for root alone, env_file:%s", strings.Join(secret, ", "), how)
	}
	if len(secret) > 0 {
		e.refuse("a line NAME=VALUE goes there for each of %s, as %s has it", strings.Join(secret, ", "), e.s.from)
	}
}

// webGroups are groups that Nginx and its like run in.
var webGroups = strings.Fields("www-data nginx apache httpd http www _nginx caddy wwwrun")

// identity sets user, group, umask and who may connect.
func (w *work) identity(e *entry) {
	s := e.s
	if s.user == "root" || s.user == "0" {
		s.user = ""
	}
	if n, err := strconv.Atoi(s.user); err == nil && n > 0 {
		e.refuse("user %s is a number: give the user a name in User=", s.user)
	} else if s.user != "" {
		e.set("user", tomltext.Text(s.user), "")
	} else {
		e.note("nothing names a user, so it ran as root. Better one of its own, user = \"medctrl_%s\", made by\n$ sudo useradd --system --user-group --shell /usr/sbin/nologin medctrl_%s", e.name, e.name)
	}
	_, first, known := w.m.User(s.user)
	webs := slices.Contains(webGroups, s.group)
	switch {
	case s.group == "" || s.group == "root" && s.user == "":
	case webs && s.user != "" && s.user != s.group && !(known && first == s.group):
		e.set("socket_group", tomltext.Text(s.group), "Nginx's: it connects, and reads nothing else. Group= of the unit gave it everything")
	case s.group == s.user || known && first == s.group:
	case s.user == "" && webs:
		e.set("socket_group", tomltext.Text(s.group), "Nginx's: it connects, and reads nothing else")
	default:
		e.set("group", tomltext.Text(s.group), "")
	}
	if slices.Contains(webGroups, s.user) {
		e.note("it runs as Nginx's user, who may then read the build's files: a user of its own is better")
	}
	if s.socket != nil {
		w.socketKeys(e, s.socket)
	}
	if s.umask != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(s.umask, "0o"), 8, 32)
		switch {
		case err != nil || n > 0o777:
			e.note("umask %s is no mode: 0027 is used", redact.Shown(s.umask))
		case n&0o002 == 0 || n&0o700 != 0:
			e.note("umask %s: nothing may be writable by everybody, 0027 is used", redact.Shown(s.umask))
		case n != 0o027:
			e.set("umask", tomltext.Text(fmt.Sprintf("%04o", n)), "")
		}
	} else {
		e.note("what it writes gets umask 0027, so others cannot read it: `umask = \"0022\"` where Nginx serves uploads itself")
	}
}

// socketKeys carries a socket unit over: the supervisor makes the socket.
func (w *work) socketKeys(e *entry, s *socket) {
	if !slices.Contains(e.from, s.from) {
		e.from = append(e.from, s.from)
	}
	e.note("%s: the supervisor makes the socket. Nginx has to connect to root/NAME/gunicorn.sock in place of %s: `medctrl-supervisor nginx` prints the block", s.from, redact.Shown(s.listen))
	group := s.group
	if group == "" && s.user != "" && s.user != "root" && s.user != e.s.user {
		if _, first, ok := w.m.User(s.user); ok {
			group = first
		} else {
			group = s.user
		}
	}
	if group != "" && group != "root" {
		e.set("socket_group", tomltext.Text(group), "Nginx's, from "+s.from)
	}
	if s.mode == "" {
		return
	}
	n, err := strconv.ParseUint(s.mode, 8, 32)
	switch {
	case err != nil || n > 0o777 || n&0o600 != 0o600 || n&0o111 != 0 || n&0o002 != 0:
		e.note("SocketMode=%s: not everybody may connect, so 0660 and socket_group", redact.Shown(s.mode))
	case n != 0o660:
		e.set("socket_mode", tomltext.Text(fmt.Sprintf("%04o", n)), "")
	}
}
