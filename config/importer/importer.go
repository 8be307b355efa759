package importer

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// Options say how an import is done.
type Options struct {
	File   string // the builds.toml that is to be
	Root   string // "": one that is no part of a source
	Source string // the checkout; "": as the files say
	// Check returns what is wrong with the text of a builds.toml on this machine, each with its line.
	Check func(text []byte) []Mistake
}

// Mistake is what a check found; Line is 0 where it is of no line of the file.
type Mistake struct {
	Line int
	Msg  string
}

// File is one that was named, with its text where it was read from elsewhere.
type File struct {
	Path string
	Text []byte // nil: it is read
}

// Result is what an import made.
type Result struct {
	TOML    []byte
	Taken   []string // names of the builds that the check accepts
	Refused []string // names of those that stand as comments
	Lost    []string // what of the files could not be used, and why
}

// work is one import.
type work struct {
	ctx context.Context
	m   Machine
	o   Options

	root      string
	units     []*unitfile.File
	sockets   map[string]*unitfile.File // by name without .socket
	timers    map[string]*unitfile.File
	services  []*service // of other files than units
	builders  []*builder
	crons     []cronLine
	given     map[string]string // texts of gunicorn's settings files that were named
	taken     map[string]bool   // those that were used
	files     []string          // that were named
	used      []string          // that were read besides
	notes     []string
	lost      []string
	following int
	cache     map[string]cached
}

type cached struct {
	text string
	err  error
}

// Import makes a builds.toml of the files. Nothing else is done.
func Import(ctx context.Context, m Machine, files []File, o Options) Result {
	w := &work{ctx: ctx, m: m, o: o, sockets: map[string]*unitfile.File{}, timers: map[string]*unitfile.File{}, given: map[string]string{}, taken: map[string]bool{}, cache: map[string]cached{}}
	for _, f := range files {
		w.add(f)
	}
	entries := w.entries()
	w.rest(entries)
	w.root = w.rootFor(entries)
	var r Result
	r.TOML = w.verified(entries)
	for _, e := range entries {
		if len(e.reasons) > 0 {
			r.Refused = append(r.Refused, e.name)
		} else {
			r.Taken = append(r.Taken, e.name)
		}
	}
	r.Lost = w.lost
	return r
}

// read returns the text of a file.
func (w *work) read(file string) (string, error) {
	if held, ok := w.cache[file]; ok {
		return held.text, held.err
	}
	var c cached
	if !path.IsAbs(file) {
		c.err = fmt.Errorf("%q is no absolute path", redact.Shown(file))
	} else if raw, err := w.m.ReadFile(file); err != nil {
		c.err = err
	} else {
		c.text, c.err = textOf(raw)
	}
	w.cache[file] = c
	return c.text, c.err
}

// lose tells of something that could not be used.
func (w *work) lose(format string, args ...any) {
	w.lost = append(w.lost, fmt.Sprintf(format, args...))
}

// sources are the files that were read.
func (w *work) sources() []string {
	all := append(slices.Clone(w.files), w.used...)
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(file string) bool {
		was := seen[file]
		seen[file] = true
		return was
	})
}

var (
	unitSection = regexp.MustCompile(`(?m)^\s*\[(Unit|Service|Socket|Timer|Install)\]`)
	iniSection  = regexp.MustCompile(`(?m)^\s*\[(program|fcgi-program|supervisord|group|include):?[^\]\n]*\]`)
	procLine    = regexp.MustCompile(`^([A-Za-z0-9_-]+)\s*:\s*(\S.*)$`)
	gunicornPy  = regexp.MustCompile(`(?m)^(bind|workers|worker_class|timeout|threads|accesslog|errorlog|loglevel|wsgi_app|max_requests|proc_name|pidfile|preload_app)\s*=`)
)

// add reads a file that was named and finds out what it is.
func (w *work) add(f File) {
	file := f.Path
	if abs, err := filepath.Abs(file); err == nil && f.Text == nil {
		file = abs
	}
	w.files = append(w.files, redact.Plain(file))
	var text string
	var err error
	if f.Text != nil {
		text, err = textOf(f.Text)
	} else {
		text, err = w.read(file)
	}
	if err != nil {
		w.lose("%s cannot be read: %v", redact.Plain(file), err)
		return
	}
	base := path.Base(file)
	ext := path.Ext(base)
	switch {
	case strings.TrimSpace(text) == "":
		w.lose("%s is empty", redact.Plain(file))
	case ext == ".service", ext == ".socket", ext == ".timer", unitSection.MatchString(text) && ext != ".sh" && ext != ".py":
		w.addUnit(file, text)
	case iniSection.MatchString(text) && ext != ".sh" && ext != ".py":
		w.addSupervisor(file, text)
	case ext == ".py", gunicornPy.MatchString(text) && ext != ".sh" && !shebang.MatchString(text):
		w.given[file] = text
	case strings.HasPrefix(base, "Procfile"):
		w.addProcfile(file, text)
	case ext == ".sh", shebang.MatchString(text), strings.Contains(text, "#!/bin/bash"), strings.Contains(text, "#!/bin/sh"):
		w.addScript(file, text)
	case isCrontab(file, text):
		w.addCrontab(file, text)
	case isProcfile(text):
		w.addProcfile(file, text)
	default:
		w.lose("%s is none of the files that are read here: systemd units, shell scripts, Supervisor's ini, gunicorn.conf.py, a Procfile, a crontab", redact.Plain(file))
	}
}

func (w *work) addUnit(file, text string) {
	name := path.Base(file)
	options, notes, err := unitfile.Parse(text)
	if err != nil {
		w.lose("%s cannot be read as a unit: %v", redact.Plain(file), err)
		return
	}
	u := &unitfile.File{Path: file, Name: name, Options: options, Notes: notes}
	switch ext := path.Ext(name); {
	case ext == ".socket":
		w.sockets[strings.TrimSuffix(name, ext)] = u
		if other := u.Last("Socket", "Service"); other != "" {
			w.sockets[strings.TrimSuffix(other, ".service")] = u
		}
	case ext == ".timer":
		of := strings.TrimSuffix(name, ext)
		if other := u.Last("Timer", "Unit"); other != "" {
			of = strings.TrimSuffix(other, ".service")
		}
		w.timers[of] = u
	case len(u.All("Service", "ExecStart")) > 0:
		if ext != ".service" {
			u.Name = name + ".service" // such as unit.txt, or one from standard input
		}
		w.units = append(w.units, u)
	case strings.HasSuffix(path.Dir(file), ".service.d"):
		w.notes = append(w.notes, fmt.Sprintf("%s is a drop-in: it is read with its unit", redact.Plain(file)))
	case slices.Contains([]string{".target", ".mount", ".path", ".slice"}, ext):
		w.notes = append(w.notes, fmt.Sprintf("%s: not needed any more", redact.Plain(name)))
	default:
		w.lose("%s starts nothing: it has no ExecStart in [Service]", redact.Plain(file))
	}
}

// running is a service with the program that it runs.
type running struct {
	s  *service
	c  command
	ok bool
}

// entries makes an entry of each web server, and gives it the processes beside it.
func (w *work) entries() []*entry {
	var all []running
	for _, u := range w.units {
		for _, s := range w.instances(u) {
			all = append(all, w.resolved(s))
		}
	}
	for _, s := range w.services {
		all = append(all, w.resolved(s))
	}
	var entries []*entry
	for _, o := range all {
		if o.ok && o.c.serves() || !o.ok && isServer(o.s.words) {
			e := w.entry(o)
			e.name = unique(e.name, entries)
			e.set("name", tomltext.Text(e.name), "")
			entries = append(entries, e)
		}
	}
	for _, o := range all {
		if !(o.ok && o.c.serves() || !o.ok && isServer(o.s.words)) {
			w.beside(o, entries)
		}
	}
	return entries
}

func (w *work) resolved(s *service) running {
	if len(s.words) == 0 {
		return running{s: s}
	}
	c, ok := w.unwrap(s, s.words)
	return running{s, c, ok}
}

// unique gives a name that no entry has.
func unique(name string, entries []*entry) string {
	first := name
	for n := 2; slices.ContainsFunc(entries, func(e *entry) bool { return e.name == name }); n++ {
		end := fmt.Sprint("_", n)
		name = first[:min(len(first), 32-len(end))] + end
	}
	return name
}

// entry makes a [[build]] of a web server.
func (w *work) entry(o running) *entry {
	e := newEntry(o.s)
	e.dir, e.venv = o.c.dir, o.c.venv
	if o.ok && servers[o.c.program] == "gunicorn" {
		w.gunicorn(e, o.s, o.c)
	} else if o.ok {
		w.otherServer(e, o.c)
		if e.app = lastModule(o.c.args); e.app != "" && strings.Contains(e.app, ":") && servers[o.c.program] != "" {
			e.set("wsgi", tomltext.Text(e.app), "")
		}
		if o.s.stop > 0 {
			e.grace(0, o.s.stop)
		}
	}
	o.s.envFiles = append(o.s.envFiles, e.envFiles...)
	w.place(e)
	w.settings(e)
	w.identity(e)
	for _, one := range o.s.keys {
		if table, key, ok := strings.Cut(one.key, "."); ok {
			e.sub(table, key, one.value, one.why)
		} else {
			e.set(one.key, one.value, one.why)
		}
	}
	if o.s.count > 1 {
		e.set("replicas", fmt.Sprint(min(o.s.count, 16)), "numprocs")
	}
	for _, one := range o.s.own {
		switch one.key {
		case "idle":
			e.unneeded(one.value)
		case "stop_signal":
			e.note("KillSignal=%s: no key for gunicorn, which gets SIGTERM", strings.Trim(one.value, `"`))
		}
	}
	w.steps(e, o.s.pre)
	w.environment(e)
	for _, note := range o.s.notes {
		e.note("%s", note)
	}
	for _, reason := range o.s.reasons {
		e.refuse("%s", reason)
	}
	return e
}

// lastModule returns the application in a server's arguments.
func lastModule(args []string) string {
	for _, arg := range slices.Backward(args) {
		if module, _, ok := strings.Cut(arg, ":"); ok && moduleName.MatchString(module) {
			return arg
		}
	}
	return ""
}

// instances makes a service of a unit, or one for each instance of a template.
func (w *work) instances(u *unitfile.File) []*service {
	if instance := unitfile.InstanceOf(u.Name); instance != "" || !u.IsTemplate() {
		return []*service{w.serviceOf(u, instance)}
	}
	found := map[string]bool{} // whether systemd knows it
	for _, name := range w.m.Units(w.ctx, strings.Replace(u.Name, "@.", "@*.", 1)) {
		if instance := unitfile.InstanceOf(name); instance != "" && strings.HasPrefix(name, strings.SplitN(u.Name, "@", 2)[0]+"@") {
			found[instance] = true
		}
	}
	for _, link := range w.m.Glob(path.Join(escapeGlob(path.Dir(u.Path)), "*.wants", strings.Replace(escapeGlob(u.Name), "@.", "@*.", 1))) {
		if instance := unitfile.InstanceOf(path.Base(link)); instance != "" {
			found[instance] = true
		}
	}
	known := len(found) > 0
	for _, instance := range w.bySettings(u) {
		if _, ok := found[instance]; !ok {
			found[instance] = false
		}
	}
	var all []*service
	for instance, listed := range sorted(found) {
		s := w.serviceOf(u, instance)
		if known && !listed {
			s.keys = append(s.keys, kv{"autostart", "false", "systemd knows no " + s.from + ": only its settings file is there"})
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		w.lose("%s is a template, and neither systemctl nor a settings file deploy_NAME.py names an instance: name the checkout with --source, or give the build script", u.Name)
	}
	return all
}

// bySettings finds the instances of a template that have a settings file, or a folder of their own.
func (w *work) bySettings(u *unitfile.File) []string {
	const stand = "NAMEofINSTANCE"
	probe := w.serviceOf(u, stand)
	c, ok := command{dir: probe.dir}, true
	if len(probe.words) > 0 {
		c, ok = w.unwrap(probe, probe.words)
	}
	if !ok {
		c = command{dir: probe.dir}
	}
	e := newEntry(probe)
	e.dir = c.dir
	e.app = lastModule(c.args)
	dirs := map[string]bool{}
	if checkout := w.checkout(e); checkout != "" {
		dirs[w.appIn(checkout, e.dir)] = true
	} else if strings.Contains(e.dir, stand) {
		for _, dir := range w.m.Glob(strings.ReplaceAll(escapeGlob(e.dir), stand, "*")) {
			dirs[w.appAt(dir)] = true
		}
	} else if path.IsAbs(e.dir) {
		dirs[w.appAt(e.dir)] = true
	}
	var all []string
	for dir := range dirs {
		e.appDir = dir
		m := ownSettings.FindStringSubmatch(e.settingsModule(w))
		folders := []string{"*", "*/settings"}
		if m != nil {
			folders = []string{strings.ReplaceAll(m[1], ".", "/")}
		}
		var files []string
		for _, folder := range folders {
			files = append(files, w.m.Glob(path.Join(escapeGlob(dir), folder, "deploy_*.py"))...)
		}
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(path.Base(file), "deploy_"), ".py")
			// A copy of one build has the settings of all.
			own := strings.ReplaceAll(e.dir, stand, name)
			if !strings.Contains(e.dir, stand) || w.checkout(e) != "" || strings.HasPrefix(dir+"/", own+"/") || strings.HasPrefix(own+"/", dir+"/") {
				all = append(all, name)
			}
		}
	}
	return all
}

// rootFor returns a folder for the builds that is no part of a source.
func (w *work) rootFor(entries []*entry) string {
	if w.o.Root != "" {
		return w.o.Root
	}
	for _, root := range []string{"/opt/medctrl/builds", "/srv/medctrl-builds", "/var/lib/medctrl/builds"} {
		if !slices.ContainsFunc(entries, func(e *entry) bool {
			return e.source != "" && (strings.HasPrefix(root+"/", strings.TrimSuffix(e.source, "/")+"/") || strings.HasPrefix(e.source+"/", root+"/"))
		}) {
			return root
		}
	}
	return "/opt/medctrl/builds"
}

// verified writes the file so that the check accepts it: what it refuses becomes a comment.
func (w *work) verified(entries []*entry) []byte {
	if w.o.Check == nil {
		return w.file(entries)
	}
	for _, e := range entries {
		if len(e.reasons) > 0 {
			continue
		}
		for _, m := range w.o.Check(w.file([]*entry{e})) {
			e.refuse("%s", m.Msg)
		}
	}
	for range entries {
		text := w.file(entries)
		wrong := w.o.Check(text)
		if len(wrong) == 0 {
			return text
		}
		for _, m := range wrong { // such as a STATIC_ROOT that two have: the second is refused
			at := entryAt(text, m.Line, entries)
			if at == nil {
				at = lastTaken(entries)
			}
			if at != nil {
				at.refuse("%s", m.Msg)
			}
		}
	}
	return w.file(entries)
}

// entryAt returns the entry that a line of the file is in.
func entryAt(text []byte, line int, entries []*entry) *entry {
	n := 0
	var found *entry
	for row := range strings.Lines(string(text)) {
		if n++; n > line {
			break
		}
		name, ok := strings.CutPrefix(row, "name")
		if _, value, is := strings.Cut(name, "="); ok && is {
			for _, e := range entries {
				if len(e.reasons) == 0 && strings.HasPrefix(strings.TrimSpace(value), tomltext.Text(e.name)) {
					found = e
				}
			}
		}
	}
	return found
}

func lastTaken(entries []*entry) *entry {
	for _, e := range slices.Backward(entries) {
		if len(e.reasons) == 0 {
			return e
		}
	}
	return nil
}
