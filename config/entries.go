package config

import (
	"cmp"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultBuild is a build with no keys set.
func defaultBuild() Build {
	return Build{
		AppDir: "API", Requirements: "requirements.txt", SettingsDir: "api_settings/settings",
		WSGI: "api_settings.wsgi:application", StripPrefix: true, Python: "python3",
		Migrate: true, Check: true, WorkingDir: InApp,
		Workers: 2, Threads: 1, WorkerClass: "sync",
		Timeout: 30 * time.Second, GracefulTimeout: 30 * time.Second,
		Umask: 0o027, NoNewPrivs: true, SocketMode: 0o660,
		Autostart: true, Restart: RestartAlways, RestartDelayMax: 30 * time.Second, StableAfter: 10 * time.Second,
		KeepReleases: 3, StepTimeout: 15 * time.Minute, Replicas: 1,
		Health: Health{
			Path: "/", Host: "localhost", Expect: Expect{Min: 100, Max: 499},
			Interval: 5 * time.Second, Timeout: 2 * time.Second, StartTimeout: 60 * time.Second, Failures: 3,
		},
	}
}

// builds reads [defaults] and every [[build]].
func (l *loader) builds(c *Config, file tomlTable) {
	base, from := defaultBuild(), origins{}
	l.markLost(from, "defaults")
	if t, ok := l.table("defaults", "defaults", file["defaults"]); ok {
		l.entry(&base, t, "defaults", from)
		if _, ok := t["name"]; ok {
			l.wrong(l.at.key("defaults.name"), "defaults.name", "name in [defaults]: each [[build]] has its own")
		}
	}
	more := l.include(c)
	l.listed(c, base, from, file["build"])
	first := l.document
	for _, one := range more {
		l.document = one.document
		l.listed(c, base, from, one.builds)
	}
	l.document = first
	l.unique(c)
}

// listed reads every [[build]] of one file. base and from are those of [defaults].
func (l *loader) listed(c *Config, base Build, from origins, all any) {
	for i, t := range l.entries(all) {
		if t == nil {
			continue // already reported
		}
		path := join("build", strconv.Itoa(i))
		l.places = append(l.places, origin{path: path, in: l.document})
		b, own := base, maps.Clone(from)
		l.markLost(own, path)
		own["name"] = origin{path: join(path, "name"), in: l.document}
		l.entry(&b, t, path, own)
		l.name(c, &b, t, path)
		l.names(c, &b, own, path)
		l.from = append(l.from, own)
		c.Builds = append(c.Builds, b)
	}
}

// entries returns the tables of build, however they are written.
func (l *loader) entries(v any) []tomlTable {
	const want = "tables, [[build]], once for each build"
	switch v := v.(type) {
	case nil:
	case []tomlTable:
		return v
	case []any: // build = [{ name = "…" }]
		var all []tomlTable
		for i, one := range v {
			t, ok := one.(tomlTable)
			if !ok {
				l.mismatch(join("build", strconv.Itoa(i)), "build", one, want)
			}
			all = append(all, t)
		}
		return all
	case tomlTable:
		l.wrong(l.at.key("build"), "build", "[build] is one table: write [[build]], once for each build")
	default:
		l.mismatch("build", "build", v, want)
	}
	return nil
}

// origins says, for each key that the file sets for a build, where it does so.
type origins map[string]origin

type origin struct {
	path string    // of its position
	bad  bool      // it was refused, so nothing more is reported about it
	in   *document // the file of both
}

// resolve makes a path absolute that stands there.
func (o origin) resolve(path string) string { return o.in.resolve(path) }

// markLost marks the keys of the table at path that were not read as refused: what is wrong with them
// has been reported.
func (l *loader) markLost(from origins, path string) {
	for _, name := range namesOf(keys) {
		if at := join(path, name); l.lost[at] || l.lost[path] {
			from[name] = origin{at, true, l.document}
		}
	}
}

// entry reads the keys of one entry, or of [defaults].
func (l *loader) entry(b *Build, t tomlTable, path string, from origins) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		v, at := t[name], join(path, name)
		if name == processKey {
			l.processes(b, v, at, from)
			continue
		}
		if name == scheduleKey {
			l.schedules(b, v, at, from)
			continue
		}
		if known, ok := subtables()[name]; ok {
			below, _ := l.table(at, name, v)
			for _, key := range slices.Sorted(maps.Keys(below)) {
				l.one(b, known, key, below[key], join(at, key), from, name+".")
			}
			continue
		}
		if name != "name" {
			l.one(b, keys, name, v, at, from, "")
		}
	}
}

func (l *loader) one(b *Build, known []key, name string, v any, at string, from origins, prefix string) {
	i := slices.IndexFunc(known, func(k key) bool { return k.name == name })
	if i < 0 {
		if prefix == "" {
			l.unknown(at, name, buildKeys())
		} else {
			l.unknown(at, name, namesOf(known))
		}
		return
	}
	k := known[i]
	field := k.field(b)
	want := set(field, v)
	if want == "" && k.check != nil && !(l.applied && ofMachine[name]) {
		want = k.check(value(field))
	}
	var parts []part
	if want == "" && k.parts != nil {
		parts = k.parts(value(field))
	}
	if want != "" {
		switch field.(type) {
		case *[][]string, *Ports: // whose elements are no texts
		default:
			parts = strangers(v, want)
		}
		if len(parts) == 0 {
			if name == "env" {
				v = "…" // it may be a secret
			}
			l.mismatch(at, name, v, want)
		}
	}
	for _, p := range parts {
		l.wrong(l.at.value(p.path(at)), at, "%s = %s: want %s", p.name(name), show(p.shown), p.want)
	}
	bad := want != "" || len(parts) > 0
	if text, ok := field.(*string); ok && bad {
		*text = "" // so that nothing more is reported about it
	}
	from[prefix+name] = origin{at, bad, l.document}
}

// strangers returns the parts of a list or table that are not texts.
func strangers(v any, want string) []part {
	var all []part
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			if _, ok := one.(string); !ok {
				all = append(all, part{strconv.Itoa(i), one, want})
			}
		}
	case tomlTable:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if _, ok := v[k].(string); !ok {
				all = append(all, part{k, "…", want}) // it may be a secret
			}
		}
	}
	return all
}

func namesOf(known []key) []string {
	var all []string
	for _, k := range known {
		all = append(all, k.name)
	}
	return all
}

// buildKeys returns the names of everything that may be in a [[build]].
func buildKeys() []string {
	all := append(namesOf(keys), "name", processKey, scheduleKey)
	return append(all, slices.Sorted(maps.Keys(subtables()))...)
}

var buildName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]*$`)

// IsName reports whether a build can have that name.
func IsName(name string) bool { return len(name) <= 32 && buildName.MatchString(name) }

// maxSocketPath is what sockaddr_un takes, without its final zero (unix(7)).
const maxSocketPath = 107

func (l *loader) name(c *Config, b *Build, t tomlTable, path string) {
	at := join(path, "name")
	v, ok := t["name"]
	switch {
	case !ok && l.lost[at]:
		return
	case !ok:
		l.wrong(l.at.key(path), at, "name is missing: every [[build]] has one")
		return
	case set(&b.Name, v) != "" || !IsName(b.Name):
		l.mismatch(at, "name", v, "small letters, digits and _, a letter or digit first, at most 32")
		b.Name = ""
		return
	}
	if n := len(c.Socket(b.Name)); c.Root != "" && n > maxSocketPath {
		l.wrong(l.at.value(at), at, "name = %q: the path of its socket, %s, would have %d bytes and may have %d: choose a shorter root or name",
			b.Name, c.Socket(b.Name), n, maxSocketPath)
	}
}

// names checks what the values of an entry name: folders, files, programs.
func (l *loader) names(c *Config, b *Build, from origins, path string) {
	wrong := func(key, about, format string, args ...any) {
		if about != "" && l.applied {
			return
		}
		if o, ok := from[key]; ok {
			l.wrongAt(o, format, args...)
		} else {
			l.wrong(l.at.key(path), join(path, key), format, args...)
		}
		l.errs[len(l.errs)-1].About = about
	}
	search := os.Getenv("PATH")
	if b.EnvFile != "" && !from["env_file"].bad {
		b.EnvFile = from["env_file"].resolve(b.EnvFile)
		env, errs := readEnvFile(*b)
		for _, err := range errs {
			wrong("env_file", b.EnvFile, "env_file = %s: %v", show(b.EnvFile), err)
		}
		search = cmp.Or(env["PATH"], search)
	}
	if !from["python"].bad {
		if o, said := from["python"]; said && strings.Contains(b.Python, "/") {
			b.Python = o.resolve(b.Python)
		}
		l.python(b, cmp.Or(b.Env["PATH"], search), wrong)
	}
	o, said := from["source"]
	switch {
	case !said:
		l.wrong(l.at.key(path), join(path, "source"), "source is missing: want the checkout that holds app_dir and requirements")
		return
	case o.bad:
		return
	}
	b.Source = o.resolve(b.Source)
	l.sandbox(c, b, from, wrong)
	if info, err := os.Stat(b.Source); err != nil || !info.IsDir() {
		wrong("source", b.Source, "source = %s: there is no such folder%s", show(b.Source), unexpanded(b.Source))
		if !l.applied {
			b.Source = ""
		}
		return
	}
	if c.Root != "" {
		l.apart(c, b, wrong)
	}
	l.inSource(b, from, wrong)
}

// unexpanded explains a path that a shell would have written differently.
func unexpanded(path string) string {
	if strings.Contains(path, "/~") || strings.Contains(path, "$") {
		return "; ~ and $NAME are taken as they are: write the path out"
	}
	return ""
}

// python finds the interpreter in the same way as the build's steps will, or refuses it.
func (l *loader) python(b *Build, search string, wrong func(key, about, format string, args ...any)) {
	if strings.Contains(b.Python, "/") {
		if _, err := exec.LookPath(b.Python); err == nil {
			return
		}
	} else {
		for _, dir := range filepath.SplitList(search) {
			if _, err := exec.LookPath(filepath.Join(dir, b.Python)); err == nil && filepath.IsAbs(dir) {
				return
			}
		}
	}
	about := ""
	if filepath.IsAbs(b.Python) {
		about = b.Python
	}
	if l.applied {
		return
	}
	wrong("python", about, "python = %s: there is no such program: install it, or give its path", show(b.Python))
}

// apart refuses a root that would be copied with the application, or watched with the source, and a
// source inside the root.
func (l *loader) apart(c *Config, b *Build, wrong func(key, about, format string, args ...any)) {
	root, source, app := l.links.follow(c.Root), l.links.follow(b.Source), l.links.follow(b.AppPath())
	switch {
	case root == app || within(app, root), root == source || within(root, source):
		wrong("source", "", "source = %s and root = %s: one may not be inside the other's application", show(b.Source), show(c.Root))
	case b.WatchSource && within(source, root):
		wrong("watch_source", "", "watch_source = true: root = %s is inside source, and changes with every build: move it out", show(c.Root))
	}
}

// links remembers where paths lead: those of many builds begin alike.
type links map[string]string

// follow follows the links in path, which must be clean, as far as it exists.
func (l links) follow(path string) string {
	folder := filepath.Dir(path)
	if to, ok := l[path]; ok || folder == path {
		return cmp.Or(to, path)
	}
	to := filepath.Join(l.follow(folder), filepath.Base(path))
	if info, err := os.Lstat(to); err == nil && info.Mode()&os.ModeSymlink != 0 {
		if end, err := filepath.EvalSymlinks(to); err == nil {
			to = end
		}
	}
	l[path] = to
	return to
}

func (l *loader) inSource(b *Build, from origins, wrong func(key, about, format string, args ...any)) {
	l.requirements(b, from, wrong)
	if from["app_dir"].bad {
		return
	}
	if manage := filepath.Join(b.AppPath(), "manage.py"); !isFile(manage) {
		wrong("app_dir", manage, "app_dir = %s: there is no file %s", show(b.AppDir), manage)
		return
	}
	if b.Name != "" && !from["settings_dir"].bad && !isFile(b.SettingsFile()) {
		wrong("name", b.SettingsFile(), "build %q has no settings file: want %s", b.Name, b.SettingsFile())
	}
}

// requirements finds the requirements, or refuses the build. A requirements file that is named must
// be there; without one, and without the one that is looked for by default, a pyproject.toml will do.
func (l *loader) requirements(b *Build, from origins, wrong func(key, about, format string, args ...any)) {
	o, said := from["requirements"]
	if o.bad || isFile(b.RequirementsFile()) {
		return
	}
	shown, missing := show(b.Requirements), b.RequirementsFile()
	if !said {
		asked := b.Requirements
		if b.Requirements = ""; isFile(b.RequirementsFile()) {
			return
		}
		b.Requirements = asked
	} else if b.Requirements != "" {
		wrong("requirements", missing, "requirements = %s: %s", shown, noFile(missing))
		return
	}
	looked := []string{filepath.Join(b.Source, pyproject)}
	if below := filepath.Join(b.AppPath(), pyproject); below != looked[0] {
		looked = append(looked, below)
	}
	wrong("requirements", missing, "requirements = %s: %s, nor %s", shown, noFile(missing), strings.Join(slices.DeleteFunc(looked, func(path string) bool { return path == missing }), ", nor "))
}

// noFile says that there is no file at path, and what is there instead.
func noFile(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "there is no file " + path + ", but a folder"
	}
	return "there is no file " + path
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// within reports whether path is inside the folder outer.
func within(outer, path string) bool {
	rel, err := filepath.Rel(outer, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../") && rel != "."
}

// unique refuses a second build of the same name or location.
func (l *loader) unique(c *Config) {
	for _, k := range []struct {
		name string
		of   func(Build) string
	}{
		{"name", func(b Build) string { return b.Name }},
		{"location", func(b Build) string { return b.Location }},
	} {
		first := map[string]int{}
		for i, b := range c.Builds {
			v := k.of(b)
			before, taken := first[v]
			switch {
			case v == "":
			case taken:
				here, there := l.places[i].below(k.name), l.places[before].below(k.name)
				l.wrongAt(here, "%s = %q: the build in %s has it already", k.name, v, there.from(here.in))
			default:
				first[v] = i
			}
		}
	}
}
