package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/cron"
	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// cronLine is a line of a crontab that runs manage.py.
type cronLine struct {
	from, when, user, text, zone string
	env                          []script.Variable
	line                         int
}

var (
	cronTimes  = regexp.MustCompile(`^(@[a-z]+|(?:[0-9*][0-9A-Za-z*,/-]*|[A-Za-z]{3}[A-Za-z,-]*)(?:[ \t]+(?:[0-9*?][0-9A-Za-z*,/-]*|[A-Za-z]{3}[A-Za-z,-]*)){4})[ \t]+(\S.*)$`)
	cronAssign = regexp.MustCompile(`^([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)$`)
	userWord   = regexp.MustCompile(`^([a-z_][a-z0-9_-]*)[ \t]+(\S.*)$`)
)

// notUsers are words that a command of a crontab begins with.
var notUsers = strings.Fields("cd python python3 manage sh bash source test flock env nice ionice timeout sleep sudo exec export echo curl find set true poetry pipenv uv chronic nohup mkdir run-parts")

// isCrontab reports whether a text has lines of a crontab, and no others.
func isCrontab(file, text string) bool {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"), cronAssign.MatchString(line):
		case cronTimes.MatchString(line):
			n++
		default:
			if !strings.Contains(path.Base(file), "cron") {
				return false
			}
		}
	}
	return n > 0
}

// addCrontab reads the lines that run manage.py, or a Python program.
func (w *work) addCrontab(file, text string) {
	base := path.Base(file)
	system := strings.HasPrefix(file, "/etc/cron.d/") || file == "/etc/crontab"
	var env []script.Variable
	zone, n, others := "", 0, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := cronTimes.FindStringSubmatch(line)
		if m == nil {
			if a := cronAssign.FindStringSubmatch(line); a != nil {
				value := strings.Trim(a[2], `"'`)
				switch a[1] {
				case "CRON_TZ", "TZ":
					zone = value
				case "MAILTO", "MAILFROM":
					w.notes = append(w.notes, fmt.Sprintf("%s: %s: no key; on_failure in [build.hooks] is called where a run fails", base, a[1]))
				case "SHELL", "PATH", "HOME", "LOGNAME":
				default:
					env = append(env, script.Variable{Name: a[1], Value: value})
				}
				continue
			}
			w.notes = append(w.notes, fmt.Sprintf("%s, line %d is not understood", base, n))
			continue
		}
		c := cronLine{from: base, when: m[1], text: m[2], zone: zone, env: slices.Clone(env), line: n}
		if u := userWord.FindStringSubmatch(c.text); u != nil && (system || !slices.Contains(notUsers, u[1])) {
			_, _, known := w.m.User(u[1])
			if system || known || strings.HasPrefix(u[2], "/") || strings.HasPrefix(u[2], "cd ") {
				c.user, c.text = u[1], u[2]
			}
		}
		if !strings.Contains(c.text, "manage.py") && !strings.Contains(c.text, "django-admin") {
			others++
			continue
		}
		w.crons = append(w.crons, c)
	}
	if others > 0 {
		w.notes = append(w.notes, fmt.Sprintf("%s: lines without manage.py stay in the crontab: %d", base, others))
	}
}

// rest gives the lines of crontabs to the builds, and names what was not used.
func (w *work) rest(entries []*entry) {
	for _, c := range w.crons {
		w.schedule(c, entries)
	}
	for file := range sorted(w.given) {
		if !w.taken[file] {
			w.lose("%s: no gunicorn of these files reads it", redact.Plain(file))
		}
	}
	for _, b := range w.builders {
		if !slices.ContainsFunc(entries, func(e *entry) bool {
			return slices.Contains(e.from, b.from) || w.o.Source != "" && len(w.builders) == 1
		}) {
			w.lose("%s: none of these files starts what it builds: give the unit as well, or the checkout with --source", redact.Plain(b.from))
		}
	}
	for name, u := range sorted(w.timers) {
		if !slices.ContainsFunc(w.units, func(s *unitfile.File) bool { return strings.TrimSuffix(s.Name, ".service") == name }) {
			w.lose("%s: the service that it starts is not among these files", u.Name)
		}
	}
	if len(entries) == 0 && len(w.lost) == 0 {
		w.lose("none of these files starts a web server of a Django project")
	}
}

// schedule makes a [[build.schedule]] of a line.
func (w *work) schedule(c cronLine, entries []*entry) {
	where := fmt.Sprintf("%s, line %d", c.from, c.line)
	s := &service{from: where, name: "job", user: c.user, env: c.env, count: 1}
	text := percent.ReplaceAllStringFunc(c.text, func(found string) string {
		if found == `\%` {
			return "%"
		}
		return "\n" // what follows is standard input
	})
	text, _, input := strings.Cut(text, "\n")
	var cmd command
	sc, err := script.Read(text, "", nil)
	ok := err == nil
	jobs := []script.Command(nil)
	if ok {
		for _, one := range sc.Commands {
			if isManage(one.Words) {
				jobs = append(jobs, one)
			}
		}
		ok = len(jobs) == 1
	}
	t := table{kind: "schedule"}
	switch {
	case err != nil:
		t.reasons = append(t.reasons, err.Error())
	case len(jobs) != 1:
		t.reasons = append(t.reasons, fmt.Sprintf("it runs manage.py %d times: a schedule for each", len(jobs)))
	case len(sc.Commands) > 1:
		t.notes = append(t.notes, "what the line does besides manage.py is not done any more")
	}
	if ok {
		job := jobs[0]
		s.dir = job.Dir
		words := withoutLock(job.Words, &t)
		if !job.Plain {
			t.reasons = append(t.reasons, "it uses what is only known while it runs")
		}
		s.env = append(append(s.env, sc.Exported...), job.Env...)
		s.envFiles = sc.EnvFiles
		w.following = 0
		if cmd, ok = w.unwrap(s, words); ok && cmd.program == "manage.py" && len(cmd.args) > 1 {
			s.name = cmd.args[1]
		}
		if job.Piped {
			t.reasons = append(t.reasons, "its output or input is another program's: there is no shell, [\"sh\", \"-c\", \"…\"] is one")
		}
		for _, to := range redirected.FindAllStringSubmatch(text, -1) {
			if strings.Contains(to[1], "log") || to[1] == "/dev/null" || strings.HasPrefix(to[1], "&") {
				t.notes = slices.Compact(append(t.notes, "its output goes to the log of the schedule"))
			} else {
				t.reasons = append(t.reasons, fmt.Sprintf("it writes to %s: there is no shell, [\"sh\", \"-c\", \"…\"] is one", redact.Shown(to[1])))
			}
		}
	}
	if input {
		t.reasons = append(t.reasons, "it gets standard input, by %")
	}
	e, why := w.belongs(s, cmd.dir, entries)
	if e == nil {
		w.lose("%s is not taken over: %s", where, why)
		return
	}
	if why != "" {
		t.reasons = append(t.reasons, why)
	}
	if !slices.Contains(e.from, c.from) {
		e.from = append(e.from, c.from)
	}
	t.name = nameOf(s.name, true)
	if t.name == "" {
		t.name = "job"
	}
	t.name = e.free("schedule", t.name)
	words, notes, reasons := w.commandOf(cmd, e)
	words = s.withSettings(words, cmd, e)
	t.notes = append(append(t.notes, notes...), s.notes...)
	t.reasons = append(append(t.reasons, reasons...), s.reasons...)
	if len(words) == 0 {
		words = []string{"manage.py", "COMMAND"}
		if len(t.reasons) == 0 {
			t.reasons = append(t.reasons, "what it runs cannot be told")
		}
	}
	t.keys = []kv{{"name", tomltext.Text(t.name), where}, {"command", tomltext.Texts(words), ""}}
	if _, err := cron.Parse(c.when); err != nil {
		t.keys = append(t.keys, kv{"cron", `"@daily"`, "when?"})
		t.reasons = append(t.reasons, fmt.Sprintf("its times are %s: want %v", redact.Shown(c.when), err))
	} else {
		t.keys = append(t.keys, kv{"cron", tomltext.Text(strings.Join(strings.Fields(c.when), " ")), ""})
	}
	if c.zone != "" {
		t.keys = append(t.keys, kv{"timezone", tomltext.Text(c.zone), ""})
	}
	if s.user == "" {
		s.user = e.s.user // the crontab of the user themself
	}
	w.processEnv(&t, s, e)
	e.tables = append(e.tables, t)
}

var redirected = regexp.MustCompile(`>>?[ \t]*(&?[^\s;|&>]+)`)

var percent = regexp.MustCompile(`\\?%`)

// withoutLock leaves flock and timeout out.
func withoutLock(words []string, t *table) []string {
	for len(words) > 1 {
		switch path.Base(words[0]) {
		case "flock":
			for words = words[1:]; len(words) > 1 && strings.HasPrefix(words[0], "-") && words[0] != "-c"; {
				if slices.Contains([]string{"-w", "--wait", "--timeout", "-E", "--conflict-exit-code"}, words[0]) {
					words = words[1:]
				}
				words = words[1:]
			}
			if len(words) > 1 {
				words = words[1:] // the file
			}
			if len(words) > 1 && words[0] == "-c" {
				if inner, err := unitfile.SplitWords(words[1]); err == nil && len(inner) > 0 {
					words = inner
				}
			}
			t.notes = append(t.notes, "flock: left out, a schedule never runs twice at once")
		case "timeout":
			words = withoutFlags(words[1:])
			if len(words) > 1 {
				t.notes = append(t.notes, fmt.Sprintf("timeout %s: set `timeout` of the schedule, which is 1h", redact.Shown(words[0])))
				words = words[1:]
			}
		case "chronic":
			words = words[1:]
		default:
			return words
		}
	}
	return words
}
