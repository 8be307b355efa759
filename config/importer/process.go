package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/cron"
	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// beside gives a service that is no web server to the build that it belongs to: as a process, or, where
// a timer starts it, as a schedule.
func (w *work) beside(o running, entries []*entry) {
	s := o.s
	timer := w.timers[s.name]
	if timer == nil {
		timer = w.timerBeside(s)
	}
	t := table{kind: "process", name: nameOf(s.name, true)}
	if timer != nil || s.oneshot {
		t.kind = "schedule"
	}
	if t.name == "" {
		t.name = "process"
	}
	e, why := w.belongs(s, o.c.dir, entries)
	if e == nil {
		w.lose("%s is not taken over: %s", s.from, strings.Join(append(slices.Clone(s.reasons), why), "; "))
		return
	}
	if why != "" {
		t.reasons = append(t.reasons, why)
	}
	if !slices.Contains(e.from, s.from) {
		e.from = append(e.from, s.from)
	}
	if o.ok && !about(o) && e.s.from != s.from && why == "" && s.dir == "" {
		t.reasons = append(t.reasons, "it does not look like a program of this project")
	}
	t.name = e.free(t.kind, t.name)
	t.keys = append(t.keys, kv{"name", tomltext.Text(t.name), ""})
	command, notes, reasons := w.commandOf(o.c, e)
	command = s.withSettings(command, o.c, e)
	t.notes = append(append(t.notes, notes...), s.notes...)
	t.reasons = append(append(t.reasons, reasons...), s.reasons...)
	if len(command) == 0 {
		command = []string{"manage.py", "COMMAND"}
		if len(t.reasons) == 0 {
			t.reasons = append(t.reasons, "what it runs cannot be told")
		}
	}
	t.keys = append(t.keys, kv{"command", tomltext.Texts(command), ""})
	if t.kind == "process" && o.c.program == "manage.py" && len(o.c.args) > 1 && slices.Contains(endsSoon, o.c.args[1]) {
		t.reasons = append(t.reasons, "manage.py "+o.c.args[1]+" ends by itself: migrate, collectstatic and [build.steps] are for what each release does once")
	}
	if t.kind == "schedule" {
		w.timed(&t, timer, s)
	} else {
		w.processKeys(&t, s, o.c)
	}
	w.processEnv(&t, s, e)
	if own, builds := strings.TrimLeft(s.umask, "0"), strings.TrimLeft(e.s.umask, "0"); s.umask != "" && own != builds {
		t.notes = append(t.notes, "umask "+redact.Shown(s.umask)+" of its own: no key, it has the build's")
	}
	for _, one := range s.own {
		if one.key == "idle" {
			e.unneeded(one.value)
		}
	}
	e.tables = append(e.tables, t)
}

// endsSoon are commands of manage.py that are no processes.
var endsSoon = strings.Fields("migrate collectstatic check makemigrations compilemessages loaddata createsuperuser clearsessions compress createcachetable test flush")

// about reports whether a service runs something of Django's.
func about(o running) bool {
	return o.c.venv != "" || slices.Contains([]string{"manage.py", "celery", "python", "rq", "rqworker", "huey", "dramatiq", "arq", "flower"}, o.c.program)
}

func (e *entry) free(kind, name string) string {
	first := name
	for n := 2; slices.ContainsFunc(e.tables, func(t table) bool { return t.kind == kind && t.name == name }); n++ {
		name = fmt.Sprint(first[:min(len(first), 28)], "-", n)
	}
	return name
}

// belongs finds the build that a service is part of. why says what speaks against it.
func (w *work) belongs(s *service, dir string, entries []*entry) (e *entry, why string) {
	if len(entries) == 0 {
		return nil, "no web server that it could stand beside is among these files: give the unit of gunicorn as well"
	}
	var near []*entry
	for _, e := range entries {
		if dir != "" && (dir == e.dir || dir == e.appDir || within(e.dir, dir) || within(dir, e.dir) || e.source != "" && (dir == e.source || within(e.source, dir))) {
			near = append(near, e)
		}
	}
	if module, ok := s.lookup("DJANGO_SETTINGS_MODULE"); ok && len(near) != 1 {
		for _, e := range entries {
			if e.module == module {
				return e, ""
			}
		}
	}
	if s.instance != "" {
		for _, e := range entries {
			if e.s.instance == s.instance && (len(near) == 0 || slices.Contains(near, e)) {
				return e, ""
			}
		}
	}
	switch {
	case len(near) == 1:
		return near[0], ""
	case len(near) > 1:
		for _, e := range near { // the folder itself before one around it
			if dir == e.dir {
				return e, ""
			}
		}
		return near[0], fmt.Sprintf("it may belong to any of %d builds: move it to the one", len(near))
	case len(entries) == 1 && (dir == "" || !w.m.IsDir(dir) && path.Base(dir) == path.Base(entries[0].dir)):
		return entries[0], ""
	case dir == "":
		return entries[0], fmt.Sprintf("nothing says to which of %d builds it belongs: move it to the one", len(entries))
	}
	return entries[0], fmt.Sprintf("it runs in %s, which is no folder of a build", redact.Shown(dir))
}

func within(outer, inner string) bool {
	return outer != "" && outer != "/" && strings.HasPrefix(inner, strings.TrimSuffix(outer, "/")+"/")
}

// commandOf turns a program into the command of a process.
func (w *work) commandOf(c command, e *entry) (words, notes, reasons []string) {
	if len(c.args) == 0 {
		return nil, nil, nil
	}
	args := slices.Clone(c.args)
	switch {
	case c.program == "manage.py":
		args = append([]string{"manage.py"}, withoutSettings(args[1:])...)
	case c.program == "celery":
		args, notes, reasons = celery(args)
	case c.program == "python":
		args[0] = "python"
	case c.venv != "" && path.Dir(args[0]) != ".":
		args[0] = c.program // the release's environment comes first in PATH
	}
	for i := range args {
		args[i] = w.moved(args[i], c, e)
	}
	if c.program == "python" && len(args) > 1 && strings.HasSuffix(args[1], ".py") && !path.IsAbs(args[1]) && !strings.HasPrefix(args[1], "{") {
		args[1] = "{app}/" + args[1]
	}
	if redact.SecretsIn(args) {
		return []string{args[0]}, notes, append(reasons, "its command has what may be a password: put that into env_file, where the program can read it")
	}
	if bad := slices.IndexFunc(args, func(arg string) bool { return strings.Contains(arg, "$") }); bad >= 0 {
		notes = append(notes, fmt.Sprintf("«%s»: there is no shell, the $ is passed on as it is", redact.Shown(args[bad])))
	}
	return args, notes, reasons
}

// withSettings keeps settings that are others than the build's, which a program of its would have otherwise.
func (s *service) withSettings(words []string, c command, e *entry) []string {
	module, _ := s.lookup("DJANGO_SETTINGS_MODULE")
	if c.program == "manage.py" {
		for i, arg := range c.args {
			if value, ok := strings.CutPrefix(arg, "--settings="); ok {
				module = value
			} else if arg == "--settings" && i+1 < len(c.args) {
				module = c.args[i+1]
			}
		}
	}
	switch {
	case module == "" || module == e.module || e.module == "" || len(words) == 0:
	case c.program == "manage.py":
		words = append(words, "--settings="+module)
		s.note("its settings are %s, not those of the build", redact.Shown(module))
	default:
		s.refuse("its settings are %s, and it would have those of the build: give it a build of its own, or set DJANGO_SETTINGS_MODULE in a shell, [\"sh\", \"-c\", \"…\"]", redact.Shown(module))
	}
	return words
}

// moved replaces paths in the old folder by those in the release.
func (w *work) moved(arg string, c command, e *entry) string {
	for _, place := range []struct{ old, brace string }{{c.venv, "{venv}"}, {e.appDir, "{app}"}, {e.dir, "{app}"}} {
		if place.old == "" || !path.IsAbs(place.old) || place.old == "/" {
			continue
		}
		for _, before := range []string{"", "="} {
			if at := strings.Index(arg, before+place.old+"/"); at >= 0 && (before != "" || at == 0) {
				return arg[:at] + before + place.brace + arg[at+len(before)+len(place.old):]
			}
			if arg == place.old {
				return place.brace
			}
		}
	}
	return arg
}

// celery makes a worker of what was one, of several in the background (celery multi), or beat.
func celery(args []string) (words, notes, reasons []string) {
	words = []string{"celery"}
	rest := args[1:]
	multi := slices.Index(rest, "multi")
	beat := slices.ContainsFunc(rest, func(arg string) bool { return arg == "beat" || arg == "--beat" || arg == "-B" }) // beat, or a worker with one in it
	var nodes []string
	schedule, scheduler := false, false
	for i := 0; i < len(rest); i++ {
		name, _, joined := strings.Cut(rest[i], "=")
		skip := func() {
			if !joined && i+1 < len(rest) {
				i++
			}
		}
		switch name {
		case "--pidfile":
			skip()
			notes = append(notes, "--pidfile: left out, the supervisor knows the process")
		case "--detach", "-D":
			notes = append(notes, "--detach: left out, the supervisor is its parent")
		case "--workdir", "--uid", "--gid", "--umask":
			skip()
			notes = append(notes, name+": left out, it runs in working_dir as the build's user")
		case "-s", "--schedule":
			schedule = true
			words = append(words, rest[i])
		case "-S", "--scheduler":
			scheduler = true
			words = append(words, rest[i])
		case "multi":
			if i+1 < len(rest) {
				i++ // start
			}
			for i+1 < len(rest) && !strings.HasPrefix(rest[i+1], "-") {
				i++
				nodes = append(nodes, rest[i])
			}
		case "--logfile", "-f":
			if multi >= 0 {
				skip()
				notes = append(notes, name+": left out, it goes to the build's log")
				continue
			}
			words = append(words, rest[i])
		default:
			words = append(words, rest[i])
		}
	}
	if multi >= 0 {
		// The application comes before the command, what is of the worker behind it.
		var app, own []string
		for i := 1; i < len(words); i++ {
			if name, _, joined := strings.Cut(words[i], "="); name == "-A" || name == "--app" || name == "-b" || name == "--broker" {
				app = append(app, words[i])
				if !joined && i+1 < len(words) {
					i++
					app = append(app, words[i])
				}
				continue
			}
			own = append(own, words[i])
		}
		words = append(append(append([]string{"celery"}, app...), "worker"), own...)
		n := len(nodes)
		if n == 1 {
			if number, err := strconv.Atoi(nodes[0]); err == nil {
				n = number
			}
		}
		if n < 1 || n > 64 {
			reasons = append(reasons, "celery multi starts nodes that cannot be counted")
		} else if n > 1 {
			reasons = append(reasons, fmt.Sprintf("celery multi started %d workers that are told apart by name: set count = %d, and --hostname to a name with %%%%n in it", n, n))
		}
		notes = append(notes, "celery multi starts workers in the background: the supervisor runs one in the foreground")
	}
	if beat && !schedule && !scheduler && !slices.ContainsFunc(words, func(word string) bool {
		return strings.HasPrefix(word, "--schedule") || strings.HasPrefix(word, "-S") || strings.HasPrefix(word, "-s")
	}) {
		words = append(words, "--schedule", "{data}/celerybeat-schedule")
		notes = append(notes, "beat writes its schedule to {data}: a release is not writable")
	}
	return words, notes, reasons
}

// processKeys are those of how a process runs.
func (w *work) processKeys(t *table, s *service, c command) {
	add := func(key, value, why string) { t.keys = append(t.keys, kv{key, value, why}) }
	if s.count > 1 {
		add("count", strconv.Itoa(s.count), "")
	}
	for _, one := range s.keys {
		switch {
		case one.key == "restart":
			add("restart", one.value, one.why)
		case strings.HasPrefix(one.key, "limits."):
			t.notes = append(t.notes, fmt.Sprintf("%s = %s of its own: no key, [build.limits] holds for each tree of processes of the build", strings.TrimPrefix(one.key, "limits."), one.value))
		case one.key == "no_new_privs", one.key == "autostart":
			t.notes = append(t.notes, one.key+" of its own: no key, it has the build's")
		}
	}
	for _, one := range s.own {
		switch {
		case one.key == "idle":
		case one.key == "ready" && c.program == "celery":
		default:
			add(one.key, one.value, one.why)
		}
	}
	stop, why := s.stop, ""
	if stop == 0 && s.endless {
		return
	}
	if stop == 0 {
		stop, why = 90*time.Second, "systemd's default"
	}
	add("graceful_timeout", tomltext.Text(span(stop)), why)
}

// processEnv are variables that the build has not, and who it ran as.
func (w *work) processEnv(t *table, s *service, e *entry) {
	files := w.varsOf(e.s.envFiles)
	if file := strings.Trim(e.get("env_file"), `"`); file != "" {
		files = append(files, w.varsOf([]string{file})...)
	}
	values := map[string]string{}
	for _, v := range s.env {
		values[v.Name] = v.Value
	}
	build := map[string]string{}
	for _, v := range e.s.env {
		build[v.Name] = v.Value
	}
	for name, value := range sorted(values) {
		was, same := build[name]
		switch {
		case same && was == value, !envName.MatchString(name), slices.Contains(ownVariables, name), name == "PATH", name == "PYTHONPATH", strings.HasPrefix(name, "CELERY"), strings.HasPrefix(name, "LISTEN_"), strings.HasPrefix(name, "MEDCTRL_"):
		case redact.IsSecret(name, value):
			if !has(files, name) {
				t.reasons = append(t.reasons, name+" may be secret: add it to the build's env_file")
			}
		case strings.ContainsAny(value, "\x00\n"):
			t.reasons = append(t.reasons, name+" has a value of several lines")
		case t.kind == "schedule":
			t.reasons = append(t.reasons, name+" is set for it alone: a schedule has the build's environment")
		default:
			t.env = append(t.env, kv{name, tomltext.Text(value), ""})
		}
	}
	for _, file := range s.envFiles {
		if slices.Contains(e.s.envFiles, file) {
			continue
		}
		var missing []string
		for _, v := range w.varsOf([]string{file}) {
			if _, set := build[v.Name]; !set && !has(files, v.Name) && !strings.HasPrefix(v.Name, "CELERY") && v.Name != "DJANGO_SETTINGS_MODULE" {
				missing = append(missing, v.Name)
			}
		}
		switch {
		case len(missing) > 0:
			t.reasons = append(t.reasons, fmt.Sprintf("%s has variables that the build's env_file has not: %s", file, strings.Join(missing, ", ")))
		case !w.m.IsFile(file):
			t.reasons = append(t.reasons, fmt.Sprintf("its variables are in %s, which cannot be read here: they belong into the build's env_file", file))
		}
	}
	if s.user != e.s.user && s.user != "" && !(s.user == "root" && e.s.user == "") {
		t.reasons = append(t.reasons, fmt.Sprintf("it ran as the user %s: it would run as the build's user", s.user))
	}
}

// timerBeside reads the timer unit that lies beside a service.
func (w *work) timerBeside(s *service) *unitfile.File {
	for _, u := range w.units {
		if strings.TrimSuffix(u.Name, ".service") != s.name {
			continue
		}
		if timer := w.unitBeside(u, ".timer"); timer != nil {
			return timer
		}
	}
	return nil
}

// timed sets when a schedule runs.
func (w *work) timed(t *table, timer *unitfile.File, s *service) {
	if s.stop > 0 {
		t.notes = append(t.notes, "TimeoutStopSec: no key; a run that is too long gets the build's graceful_timeout")
	}
	if timer == nil {
		t.keys = append(t.keys, kv{"cron", `"@daily"`, "when?"})
		t.reasons = append(t.reasons, "it runs once and ends, and no timer says when: a [[build.schedule]] with the right times, or a command of [build.steps]")
		return
	}
	calendars := timer.All("Timer", "OnCalendar")
	every := timer.Last("Timer", "OnUnitActiveSec")
	if every == "" {
		every = timer.Last("Timer", "OnUnitInactiveSec")
	}
	expression := ""
	if len(calendars) == 1 {
		expression = cronOf(calendars[0])
	}
	d, err := parseSpan(every)
	switch {
	case expression != "":
		t.keys = append(t.keys, kv{"cron", tomltext.Text(expression), "OnCalendar=" + redact.Shown(calendars[0])})
	case len(calendars) == 0 && every != "" && err == nil && d >= time.Second && d <= 366*24*time.Hour:
		t.keys = append(t.keys, kv{"every", tomltext.Text(d.String()), ""})
	default:
		t.keys = append(t.keys, kv{"cron", `"@daily"`, "when?"})
		t.reasons = append(t.reasons, fmt.Sprintf("its times, %s, are not read here: write them as cron or every", redact.Shown(strings.Join(append(calendars, every), " "))))
	}
	if isYes(timer.Last("Timer", "Persistent")) {
		t.keys = append(t.keys, kv{"catch_up", "true", "Persistent="})
	}
	if text := timer.Last("Timer", "RandomizedDelaySec"); text != "" {
		if d, err := parseSpan(text); err == nil && d > 0 && d <= 24*time.Hour {
			t.keys = append(t.keys, kv{"spread", tomltext.Text(d.String()), ""})
		}
	}
	for _, name := range []string{"OnBootSec", "OnStartupSec", "OnActiveSec"} {
		if text := timer.Last("Timer", name); text != "" {
			t.notes = append(t.notes, fmt.Sprintf("%s=%s: no key", name, redact.Shown(text)))
		}
	}
}

var (
	calendarNames = map[string]string{"minutely": "* * * * *", "hourly": "@hourly", "daily": "@daily", "weekly": "0 0 * * mon", "monthly": "@monthly", "yearly": "@yearly", "annually": "@yearly"}
	calendarForm  = regexp.MustCompile(`^(?:([A-Za-z.,]+) +)?(?:\*-\*-(\*|\d\d?) +)?(\*|\d\d?)(?:/(\d\d?))?:(\*|\d\d?)(?:/(\d\d?))?(?::00)?$`)
)

// cronOf writes the usual calendar events of systemd (systemd.time(7)) as cron does; "" for others.
func cronOf(text string) string {
	text = strings.TrimSpace(text)
	if known := calendarNames[strings.ToLower(text)]; known != "" {
		return known
	}
	m := calendarForm.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	part := func(from, step string) string {
		number := strings.TrimLeft(from, "0")
		switch {
		case from == "*":
			number = "*"
		case number == "":
			number = "0"
		}
		if step == "" {
			return number
		}
		if number == "0" {
			number = "*"
		}
		return number + "/" + strings.TrimLeft(step, "0")
	}
	days, day := "*", "*"
	if m[1] != "" {
		days = strings.ReplaceAll(strings.ToLower(m[1]), "..", "-")
	}
	if m[2] != "" && m[2] != "*" {
		day = part(m[2], "")
	}
	if days != "*" && day != "*" {
		return "" // systemd means both, cron one of them
	}
	expression := strings.Join([]string{part(m[5], m[6]), part(m[3], m[4]), day, "*", days}, " ")
	if _, err := cron.Parse(expression); err != nil {
		return ""
	}
	return expression
}
