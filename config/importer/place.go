package importer

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// place finds the checkout, the Django project in it and its settings, by where the server ran.
func (w *work) place(e *entry) {
	dir := e.dir
	checkout := w.checkout(e)
	switch {
	case checkout != "":
		e.source, e.appDir = checkout, w.appIn(checkout, dir)
	case dir == "":
		e.refuse("nothing says in which folder it ran: name the checkout with --source")
		return
	case !path.IsAbs(dir):
		e.refuse("it ran in %q, which is no absolute path: name the checkout with --source", redact.Shown(dir))
		return
	default:
		e.appDir = w.appAt(dir)
		e.source = w.sourceOf(e.appDir)
	}
	e.set("source", tomltext.Text(e.source), "")
	if checkout == "" && e.s.instance != "" {
		e.note("source is the folder in which the instance ran. If a script copies it there, give the script as well, or the checkout with --source")
	}
	rel, err := filepath.Rel(e.source, e.appDir)
	if err != nil {
		rel = "."
	}
	if rel != "API" {
		e.set("app_dir", tomltext.Text(rel), "")
	}
	w.requirements(e)
	w.interpreter(e)
	if file := path.Join(e.source, ".env"); rel != "." && w.m.IsFile(file) {
		e.note("%s is not in app_dir, so no release has it: settings that read it need env_file", file)
	}
	for _, venv := range []string{"venv", ".venv", "env", "virtualenv"} {
		if w.m.IsFile(path.Join(e.appDir, venv, "pyvenv.cfg")) {
			e.note("%s would be copied into each release, which has an environment of its own: remove it when the old setup is gone", path.Join(e.appDir, venv))
		}
	}
}

// checkout is what --source names, or where the build script works; "" where neither is known.
func (w *work) checkout(e *entry) string {
	if w.o.Source != "" {
		return w.o.Source
	}
	for _, b := range w.builders {
		for _, dir := range b.dirs {
			if w.appIn(dir, e.dir) != "" && (w.m.IsFile(path.Join(w.appIn(dir, e.dir), "manage.py"))) {
				if !slices.Contains(e.from, b.from) {
					e.from = append(e.from, b.from)
				}
				return dir
			}
		}
	}
	return ""
}

// appIn finds the Django project in a checkout, of one that ran in the folder ran.
func (w *work) appIn(checkout, ran string) string {
	parts := strings.Split(strings.Trim(ran, "/"), "/")
	for i := range parts {
		if dir := path.Join(checkout, path.Join(parts[i:]...)); w.m.IsFile(path.Join(dir, "manage.py")) {
			return dir
		}
	}
	if w.m.IsFile(path.Join(checkout, "manage.py")) {
		return checkout
	}
	if found := w.m.Glob(path.Join(escapeGlob(checkout), "*", "manage.py")); len(found) == 1 {
		return path.Dir(found[0])
	}
	if len(parts) > 0 && parts[len(parts)-1] != path.Base(checkout) && parts[len(parts)-1] != "" {
		return path.Join(checkout, parts[len(parts)-1])
	}
	return checkout
}

// appAt finds the Django project where a server ran, above or below.
func (w *work) appAt(dir string) string {
	if w.m.IsFile(path.Join(dir, "manage.py")) {
		return dir
	}
	if found := w.m.Glob(path.Join(escapeGlob(dir), "*", "manage.py")); len(found) == 1 {
		return path.Dir(found[0])
	}
	if above := path.Dir(dir); w.m.IsFile(path.Join(above, "manage.py")) {
		return above
	}
	return dir
}

func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(text)
}

// sourceOf finds the checkout that an application is in: the nearest folder with a requirements file,
// else with a pyproject.toml, which may be there for a linter alone.
func (w *work) sourceOf(app string) string {
	second := ""
	for dir, n := app, 0; n < 3 && !slices.Contains([]string{"/", "/home", "/opt", "/srv", "/var", "/var/www", "/root"}, dir); dir, n = path.Dir(dir), n+1 {
		switch found := w.requirementsIn(dir); {
		case len(found) > 0 && found[0] != pyproject:
			return dir
		case len(found) > 0 && second == "":
			second = dir
		}
	}
	return cmp.Or(second, app)
}

const pyproject = "pyproject.toml"

// requirementsIn returns what a checkout may have its requirements in, the best first.
func (w *work) requirementsIn(dir string) []string {
	var all []string
	for _, name := range []string{"requirements.txt", "requirements/production.txt", "requirements/prod.txt", "requirements/deploy.txt", "requirements/base.txt", "requirements/requirements.txt"} {
		if w.m.IsFile(path.Join(dir, name)) {
			all = append(all, name)
		}
	}
	if text, err := w.read(path.Join(dir, pyproject)); err == nil && strings.Contains(text, "[project]") {
		all = append(all, pyproject)
	}
	return all
}

func (w *work) requirements(e *entry) {
	for _, b := range w.buildersOf(e) {
		for _, file := range b.requirements {
			if !path.IsAbs(file) && w.m.IsFile(path.Join(e.source, file)) {
				if file = path.Clean(file); file != "requirements.txt" {
					e.set("requirements", tomltext.Text(file), "")
				}
				return
			}
		}
	}
	found := w.requirementsIn(e.source)
	switch {
	case len(found) == 0, found[0] == "requirements.txt":
	case found[0] == pyproject:
		e.set("requirements", `""`, "the dependencies in pyproject.toml")
	default:
		e.set("requirements", tomltext.Text(found[0]), "")
	}
}

// interpreter finds the interpreter that the old environment was made with.
func (w *work) interpreter(e *entry) {
	named := ""
	for _, b := range w.buildersOf(e) {
		named = cmp.Or(named, b.python)
	}
	if e.venv != "" && path.IsAbs(e.venv) {
		if text, err := w.read(path.Join(e.venv, "pyvenv.cfg")); err == nil {
			home, version := "", ""
			for line := range strings.Lines(text) {
				key, value, _ := strings.Cut(line, "=")
				switch value = strings.TrimSpace(value); strings.ToLower(strings.TrimSpace(key)) {
				case "home":
					home = value
				case "version", "version_info":
					if parts := strings.Split(value, "."); len(parts) > 1 {
						version = parts[0] + "." + parts[1]
					}
				case "include-system-site-packages":
					if value == "true" {
						e.set("system_site_packages", "true", "as in the old environment")
					}
				}
			}
			if exe := path.Join(home, "python"+version); named == "" && version != "" && w.m.IsFile(exe) {
				named = exe
				if home == "/usr/bin" || home == "/usr/local/bin" {
					named = "python" + version
				}
			}
		}
	}
	if named != "" && named != "python3" {
		e.set("python", tomltext.Text(named), "")
		if strings.HasPrefix(named, "/root/") {
			e.note("python = %s is below /root, where a build's user may run nothing", named)
		}
	}
}

var (
	ownSettings     = regexp.MustCompile(`^(.+)\.deploy_(\w+)$`)
	settingsDefault = regexp.MustCompile(`setdefault\(\s*["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']`)
	baseURL         = regexp.MustCompile(`(?m)^BASE_URL\s*=\s*["']/?([A-Za-z0-9._~/-]*?)/?["']`)
	scriptName      = regexp.MustCompile(`(?m)^FORCE_SCRIPT_NAME\s*=\s*["'](/[A-Za-z0-9._~/-]*?)/?["']`)
	relativeLog     = regexp.MustCompile(`["']filename["']\s*:\s*["'][^/"'{]+["']`)
	locationForm    = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
	buildNameForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,31}$`)
)

// settings finds the module of the settings, and with it the name of the build.
func (w *work) settings(e *entry) {
	e.module = e.settingsModule(w)
	m := ownSettings.FindStringSubmatch(e.module)
	dir := ""
	switch {
	case m != nil:
		dir = strings.ReplaceAll(m[1], ".", "/")
		e.name = m[2]
	case e.module != "" && strings.Contains(e.module, "."):
		dir = strings.ReplaceAll(e.module, ".", "/")
		if !w.m.IsDir(path.Join(e.appDir, dir)) {
			dir = path.Dir(dir)
		}
	case e.module != "":
		dir = "deploy_settings"
	}
	if e.s.instance != "" && (m == nil || nameOf(unit.UnitNameUnescape(e.s.instance), false) != e.name) {
		e.name = nameOf(unit.UnitNameUnescape(e.s.instance), false)
	}
	if e.name == "" {
		e.name = w.called(e)
	}
	if !buildNameForm.MatchString(e.name) {
		if named := nameOf(e.name, false); named != "" {
			e.note("the build is called %q: a name has small letters, digits and _, at most 32", named)
			e.name = named
		}
	}
	if dir != "" && dir != "api_settings/settings" {
		e.set("settings_dir", tomltext.Text(dir), "")
	}
	dir = cmp.Or(dir, "api_settings/settings")
	file := path.Join(e.appDir, dir, "deploy_"+e.name+".py")
	text, err := w.read(file)
	switch {
	case err != nil && m == nil && e.module != "" && w.m.IsDir(e.appDir):
		make := fmt.Sprintf("printf 'from %s import *  # noqa\\n' | sudo tee %s", e.module, shellWord(file))
		if dir == "deploy_settings" {
			make = "sudo mkdir -p " + shellWord(path.Dir(file)) + "\n$ " + make
		}
		e.refuse("a build's own settings are a file deploy_NAME.py, and the settings were %s. To make one that is the same:\n$ %s", e.module, make)
	case err == nil && m == nil && e.module != "" && !strings.Contains(text, e.module) && !strings.Contains(text, "from ."):
		e.note("the settings were %s, and are %s now", e.module, file)
	}
	w.fromSettings(e, file, text)
}

func shellWord(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-@:+,=%") == "" && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(redact.Plain(text), "'", `'\''`) + "'"
}

// settingsModule is what DJANGO_SETTINGS_MODULE was.
func (e *entry) settingsModule(w *work) string {
	if module, ok := e.s.lookup("DJANGO_SETTINGS_MODULE"); ok && moduleName.MatchString(module) {
		return module
	}
	for _, v := range slices.Backward(w.varsOf(e.s.envFiles)) {
		if v.Name == "DJANGO_SETTINGS_MODULE" && moduleName.MatchString(v.Value) {
			return v.Value
		}
	}
	module, _, _ := strings.Cut(e.app, ":")
	for _, file := range []string{strings.ReplaceAll(module, ".", "/") + ".py", "manage.py"} {
		if text, err := w.read(path.Join(e.appDir, file)); err == nil && file != ".py" {
			if m := settingsDefault.FindStringSubmatch(text); m != nil {
				return m[1]
			}
		}
	}
	return ""
}

// generic are names of units that say nothing of the project.
var generic = strings.Fields("gunicorn gunicorn3 uvicorn daphne hypercorn django web app wsgi asgi server backend site www api service uwsgi waitress project myproject config core")

// called finds a name for a build.
func (w *work) called(e *entry) string {
	candidates := []string{e.s.name}
	if head, _, ok := strings.Cut(e.app, "."); ok {
		candidates = append(candidates, head)
	}
	candidates = append(candidates, path.Base(e.source), path.Base(path.Dir(e.source)))
	for _, one := range candidates {
		for _, part := range []string{"gunicorn-", "gunicorn_", "-gunicorn", "_gunicorn", "gunicorn.", ".gunicorn"} {
			one = strings.TrimSuffix(strings.TrimPrefix(one, part), part)
		}
		if name := nameOf(one, false); name != "" && !slices.Contains(generic, name) {
			return name
		}
	}
	return cmp.Or(nameOf(e.s.name, false), "site")
}

// fromSettings reads what the settings say about where the project is served and where it writes.
func (w *work) fromSettings(e *entry, file, text string) {
	all := text
	for _, other := range w.m.Glob(path.Join(escapeGlob(path.Dir(file)), "*.py")) {
		base := path.Base(other)
		if strings.HasPrefix(base, "deploy_") || !strings.Contains(text, strings.TrimSuffix(base, ".py")) {
			continue
		}
		if more, err := w.read(other); err == nil {
			all += "\n" + more
		}
	}
	switch found, forced := baseURL.FindStringSubmatch(text), scriptName.FindStringSubmatch(text); {
	case found != nil && locationForm.MatchString("/"+found[1]):
		e.set("location", tomltext.Text("/"+found[1]), "BASE_URL in its settings")
		e.set("strip_prefix", "false", "its URLs begin with BASE_URL")
		e.sub("health", "path", tomltext.Text("/"+found[1]+"/"), "")
	case forced != nil && locationForm.MatchString(forced[1]):
		e.set("location", tomltext.Text(forced[1]), "FORCE_SCRIPT_NAME in its settings")
	default:
		e.note("location: none of these files says at which URL Nginx serves it. Add `location = \"/\"` or the prefix, for medctrl-supervisor nginx")
	}
	if relativeLog.MatchString(all) {
		e.set("working_dir", `"{data}"`, "its settings log to a relative name, and a release is not writable")
	}
}
