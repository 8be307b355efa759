package config

import (
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

// defaultBuild is a build that says nothing.
func defaultBuild() Build {
	return Build{
		AppDir: "API", Requirements: "requirements.txt", SettingsDir: "api_settings/settings",
		WSGI: "api_settings.wsgi:application", Python: "python3",
		Migrate: true, Check: true,
		Workers: 2, Threads: 1, WorkerClass: "sync",
		Timeout: 30 * time.Second, GracefulTimeout: 30 * time.Second,
		Umask: 0o027, SocketMode: 0o660,
		Autostart: true, Restart: RestartAlways, RestartDelayMax: 30 * time.Second, StableAfter: 10 * time.Second,
		KeepReleases: 3, StepTimeout: 15 * time.Minute,
		Health: Health{
			Path: "/", Host: "localhost", Expect: Expect{Min: 100, Max: 499},
			Interval: 5 * time.Second, Timeout: 2 * time.Second, StartTimeout: 60 * time.Second, Failures: 3,
		},
	}
}

// builds takes [defaults] and every [[build]].
func (l *loader) builds(c *Config, file tomlTable) {
	base, from := defaultBuild(), origin{}
	if t, ok := l.table("defaults", file["defaults"]); ok {
		l.entry(&base, t, "defaults", from)
		if _, ok := t["name"]; ok {
			l.wrong(l.at.key("defaults.name"), "defaults.name", "name in [defaults]: each [[build]] has its own")
		}
	}
	entries, ok := file["build"].([]tomlTable)
	if !ok {
		switch v := file["build"].(type) {
		case nil:
		case tomlTable:
			l.wrong(l.at.key("build"), "build", "[build] is one table: write [[build]], once for each build")
		default:
			l.mismatch("build", "build", v, "tables, [[build]], one for each build")
		}
		return
	}
	for i, t := range entries {
		path := join("build", strconv.Itoa(i))
		b, own := base, maps.Clone(from)
		l.entry(&b, t, path, own)
		l.name(c, &b, t, path)
		l.names(c, &b, own, path)
		c.Builds = append(c.Builds, b)
	}
	l.unique(c)
}

// origin says where each key of a build got its value: the path of its position.
type origin map[string]string

// entry takes the keys of one entry, or of [defaults].
func (l *loader) entry(b *Build, t tomlTable, path string, from origin) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		v, at := t[name], join(path, name)
		if later, ok := laterTables[name]; ok {
			l.later(name, later, v, at)
			continue
		}
		if name == "health" {
			h, _ := l.table(at, v)
			for _, name := range slices.Sorted(maps.Keys(h)) {
				l.one(b, healthKeys, name, h[name], join(at, name), from, "health.")
			}
			continue
		}
		if name != "name" {
			l.one(b, keys, name, v, at, from, "")
		}
	}
}

func (l *loader) one(b *Build, known []key, name string, v any, at string, from origin, prefix string) {
	i := slices.IndexFunc(known, func(k key) bool { return k.name == name })
	if i < 0 {
		l.unknown(at, name, namesOf(known))
		return
	}
	k := known[i]
	from[prefix+name] = at
	field := k.field(b)
	want := set(field, v)
	if want == "" && k.check != nil {
		want = k.check(value(field))
	}
	if want != "" {
		l.mismatch(at, name, v, want)
	}
}

func namesOf(known []key) []string {
	all := []string{"name", "health", "limits", "sandbox", "hooks"}
	if known[0].name == healthKeys[0].name {
		all = nil
	}
	for _, k := range known {
		all = append(all, k.name)
	}
	return all
}

// later refuses what has no effect yet, rather than ignore it.
func (l *loader) later(name string, known []string, v any, at string) {
	t, _ := l.table(at, v)
	for _, key := range slices.Sorted(maps.Keys(t)) {
		path := join(at, key)
		switch {
		case !slices.Contains(known, key):
			l.unknown(path, key, known)
		case name == "sandbox" && key == "enabled" && t[key] == false:
		default:
			l.wrong(l.at.key(path), path, "%s.%s is not supported yet: leave it out", name, key)
		}
	}
}

var buildName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]*$`)

// maxSocketPath is what sockaddr_un takes, without its final zero (unix(7)).
const maxSocketPath = 107

func (l *loader) name(c *Config, b *Build, t tomlTable, path string) {
	at := join(path, "name")
	v, ok := t["name"]
	switch {
	case !ok:
		l.wrong(l.at.key(path), at, "name is missing: every [[build]] has one")
		return
	case set(&b.Name, v) != "" || len(b.Name) > 32 || !buildName.MatchString(b.Name):
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
func (l *loader) names(c *Config, b *Build, from origin, path string) {
	place := func(key string) place {
		if at, ok := from[key]; ok {
			return l.at.value(at)
		}
		return l.at.key(path)
	}
	wrong := func(key, format string, args ...any) {
		l.wrong(place(key), join(path, key), format, args...)
	}
	if b.EnvFile != "" {
		b.EnvFile = l.resolve(b.EnvFile)
		if _, err := readEnvFile(b.EnvFile); err != nil {
			wrong("env_file", "env_file: %v", err)
		}
	}
	if _, err := exec.LookPath(b.Python); err != nil {
		wrong("python", "python = %q: there is no such program: install it, or give its path", b.Python)
	}
	if b.Source == "" {
		if _, said := from["source"]; !said {
			l.wrong(l.at.key(path), join(path, "source"), "source is missing: want the checkout that holds %s", b.AppDir)
		}
		return
	}
	b.Source = l.resolve(b.Source)
	if info, err := os.Stat(b.Source); err != nil || !info.IsDir() {
		wrong("source", "source = %q: there is no such folder", b.Source)
		return
	}
	if c.Root != "" && (within(b.AppPath(), c.Root) || within(c.Root, b.Source) && c.Root != b.Source || c.Root == b.Source) {
		wrong("source", "source = %q and root = %q: one may not be inside the other's application", b.Source, c.Root)
	}
	l.inSource(b, wrong)
}

func (l *loader) inSource(b *Build, wrong func(key, format string, args ...any)) {
	manage := filepath.Join(b.AppPath(), "manage.py")
	if !isFile(manage) {
		wrong("app_dir", "app_dir = %q: there is no %s", b.AppDir, manage)
		return
	}
	if !isFile(b.RequirementsFile()) {
		wrong("requirements", "requirements = %q: there is no %s", b.Requirements, b.RequirementsFile())
	}
	if b.Name != "" && !isFile(b.SettingsFile()) {
		wrong("name", "build %q has no settings file: want %s", b.Name, b.SettingsFile())
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// within says that folder outer holds path.
func within(outer, path string) bool {
	rel, err := filepath.Rel(outer, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../") && rel != "."
}

// unique refuses a second build of the same name or location.
func (l *loader) unique(c *Config) {
	names, locations := map[string]int{}, map[string]int{}
	for i, b := range c.Builds {
		path := join("build", strconv.Itoa(i))
		if first, ok := names[b.Name]; ok && b.Name != "" {
			l.wrong(l.at.value(join(path, "name")), path, "name = %q: the build in line %d has it already", b.Name, l.line(first, "name"))
		} else {
			names[b.Name] = i
		}
		if first, ok := locations[b.Location]; ok && b.Location != "" {
			at := l.at.value(join(path, "location"))
			if at == (place{}) {
				at = l.at.key(path)
			}
			l.wrong(at, path, "location = %q: the build in line %d has it already", b.Location, l.line(first, "location"))
		} else {
			locations[b.Location] = i
		}
	}
}

func (l *loader) line(build int, key string) int {
	path := join("build", strconv.Itoa(build))
	if at := l.at.value(join(path, key)); at.line != 0 {
		return at.line
	}
	return l.at.key(path).line
}
