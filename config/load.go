package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Load reads and validates the file at path, with everything it names: source, settings,
// interpreter, users. Mistakes in the contents come back as Errors, all at once; another error
// means that the file cannot be read.
func Load(path string) (*Config, error) { return load(path, false) }

// Check is Load that also looks into the settings files for placeholders left from their template
// (see [CheckSettings]). With Errors it also returns what is good in the file, for who looks for more
// mistakes (see [Config.Wrong]).
func Check(path string) (*Config, error) { return load(path, true) }

// LoadText is Load of a copy ([Config.Copy]) that was applied when the file at path had it: what is wrong
// is said of that file, and relative paths begin where it is. What the text names was there then. That some of
// it is gone now (a source that is not mounted, a user, an interpreter) is no mistake: the build that
// needs it says so, and the others do without.
func LoadText(path string, text []byte) (*Config, error) {
	text, included, err := unpack(text)
	if err != nil {
		return nil, fmt.Errorf("read the copy of %s: %w", path, err)
	}
	return loadText(&loader{document: &document{file: path}, applied: true, copied: included}, text, false)
}

// Try is Load of a text that is to become the file at path.
func Try(path string, text []byte) (*Config, error) {
	if err := readable(path, text); err != nil {
		return nil, err
	}
	return loadText(&loader{document: &document{file: path}}, text, false)
}

// CheckText is Check of a text that is to become the file at path.
func CheckText(path string, text []byte) (*Config, error) {
	if err := readable(path, text); err != nil {
		return nil, err
	}
	return loadText(&loader{document: &document{file: path}}, text, true)
}

func load(path string, settings bool) (*Config, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	return loadText(&loader{document: &document{file: path}}, text, settings)
}

func loadText(l *loader, text []byte, settings bool) (*Config, error) {
	abs, err := filepath.Abs(l.file)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", l.file, err)
	}
	l.dir, l.links, l.own = filepath.Dir(abs), links{}, []string{abs}
	c := l.load(withoutBOM(text))
	c.Path, c.Text = abs, text
	c.Sum = c.sum()
	placed := &sites{document: l.document, builds: l.from}
	if settings {
		l.settings(c)
		c.sites = placed
	}
	if !l.applied { // what was applied goes on, whatever became of it
		with := *c
		with.sites = placed
		wrong, _ := with.Exposed()
		l.errs = append(l.errs, wrong...)
	}
	if len(l.errs) == 0 {
		return c, nil
	}
	errs := l.errs.Sorted() // a mistake in [defaults] is found once per build
	if !settings {
		return nil, errs
	}
	return c, errs
}

// loader collects the mistakes in a file and those that it includes.
type loader struct {
	*document            // the one that is being read
	applied   bool       // the text was applied before: what it names may be missing
	copied    []Included // what it included then
	own       []string   // paths of the files that were read
	places    []origin   // of the builds
	from      []origins  // of the builds
	links     links
	errs      Errors
}

// document is one file as it was read.
type document struct {
	file string // as it was named
	dir  string // relative paths are relative to it
	at   *positions
	lost map[string]bool // paths of what was not read, because it is not TOML
}

// tomlTable is a table as it was read.
type tomlTable = map[string]any

func (l *loader) wrong(at place, key, format string, args ...any) {
	l.errs = append(l.errs, Error{File: l.file, Line: at.line, Col: at.col, Key: key, Msg: fmt.Sprintf(format, args...)})
}

// load returns what is good in the file, and collects the mistakes.
func (l *loader) load(text []byte) *Config {
	c := &Config{}
	file := l.read(text)
	if file == nil {
		return c
	}
	for name := range file {
		if !slices.Contains(topKeys, name) {
			l.unknown(join("", name), name, topKeys)
		}
	}
	l.root(c, file)
	l.supervisor(c, file)
	l.builds(c, file)
	l.addresses(c)
	l.dashboard(c)
	l.private(c)
	return c
}

// read reads the text of the document; nil: nothing can be said of what it holds.
func (l *loader) read(text []byte) tomlTable {
	read := decode(text)
	l.at, l.lost = read.at, read.lost
	for _, wrong := range read.wrong {
		wrong.File = l.file
		l.errs = append(l.errs, wrong)
	}
	return read.file
}

// settings adds the mistakes in the settings files of the builds.
func (l *loader) settings(c *Config) {
	for _, b := range c.Builds {
		if b.Name != "" && b.Source != "" && isFile(b.SettingsFile()) { // else it was reported
			l.errs = append(l.errs, CheckSettings(b)...)
		}
	}
}

var (
	topKeys        = []string{"root", "supervisor", "defaults", "build"}
	supervisorKeys = []string{"log_level", "log_format", "log_dir", "max_parallel_builds", "front", "dashboard", "dashboard_read", "dashboard_write", "metrics", "control_group", "include", "front_proxies"}
)

func (l *loader) unknown(path, name string, known []string) {
	hint := Near(name, known)
	if hint == "" {
		hint = elsewhere(name, known)
	}
	l.wrong(l.at.key(path), path, "unknown key %s%s", shownKey(name), hint)
}

// elsewhere says where a key in the wrong table belongs: in TOML, everything that follows a [table]
// is in it.
func elsewhere(name string, known []string) string {
	for _, t := range []struct {
		keys  []string
		where string
	}{
		{topKeys, "above the first [table]"},
		{supervisorKeys, "to [supervisor]"},
		{buildKeys(), "to [[build]] or [defaults]"},
		{namesOf(healthKeys), "to [build.health]"},
		{namesOf(hookKeys), "to [build.hooks]"},
		{namesOf(stepKeys), "to [build.steps]"},
		{namesOf(sandboxKeys), "to [build.sandbox]"},
		{namesOf(limitKeys), "to [build.limits]"},
		{ownNames(processTable), "to [[build.process]]"},
		{ownNames(scheduleTable), "to [[build.schedule]]"},
	} {
		if slices.Contains(t.keys, name) && !slices.Contains(known, name) {
			return fmt.Sprintf("; %s belongs %s", name, t.where)
		}
	}
	return ""
}

func (l *loader) root(c *Config, file tomlTable) {
	v, ok := file["root"]
	if !ok && l.lost["root"] {
		return
	}
	if !ok {
		l.wrong(place{1, 1}, "root", "root is missing: want the folder that every build lives in, such as \"/opt/medctrl/backend\"")
		return
	}
	if want := set(&c.Root, v); want != "" || c.Root == "" {
		l.mismatch("root", "root", v, cmp.Or(want, "a path"))
		c.Root = ""
		return
	}
	c.Root = l.resolve(c.Root)
	if n := len(layout.Root(c.Root).Control()); n > maxSocketPath {
		l.wrong(l.at.value("root"), "root", "root = %s: the path of the control socket in it would have %d bytes and may have %d: choose a shorter root",
			show(v), n, maxSocketPath)
	}
	if info, err := os.Stat(c.Root); err == nil {
		switch {
		case !info.IsDir():
			l.mismatch("root", "root", v, "a folder")
		case info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
			l.wrong(l.at.value("root"), "root", "root = %s: everybody may write there: chmod o-w it, or choose another", show(v))
		}
	}
	if c.Root == "/" {
		l.mismatch("root", "root", v, "a folder of its own")
	}
}

func (d *document) resolve(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.dir, path)
	}
	return filepath.Clean(path)
}

func (l *loader) supervisor(c *Config, file tomlTable) {
	c.Supervisor = c.standardSupervisor()
	t, ok := l.table("supervisor", "supervisor", file["supervisor"])
	if !ok {
		return
	}
	s := &c.Supervisor
	for _, name := range slices.Sorted(maps.Keys(t)) {
		path, v := join("supervisor", name), t[name]
		want, about := "", ""
		switch name {
		case "log_level":
			want = oneOf(&s.LogLevel, v, "trace", "debug", "info", "warn", "error")
		case "log_format":
			want = oneOf(&s.LogFormat, v, "text", "json")
		case "log_dir":
			want = l.logDir(s, v)
		case "max_parallel_builds":
			if want = set(&s.MaxParallelBuilds, v); want == "" {
				want = whole(1, 64)(s.MaxParallelBuilds)
			}
		case "front":
			if want = set(&s.Front, v); want == "" && s.Front != "" {
				want = hostPort(s.Front)
			}
		case "front_proxies":
			l.proxies(c, v)
		case "dashboard":
			if want = set(&s.Dashboard, v); want == "" && s.Dashboard != "" {
				want = dashboardAddress(s.Dashboard)
			}
			if l.applied && strings.HasPrefix(s.Dashboard, "/") {
				s.Dashboard, want = "", "" // an earlier version had it there: the builds need none
			}
		case "dashboard_read":
			want, about = l.token(&s.DashboardRead, v)
		case "dashboard_write":
			want, about = l.token(&s.DashboardWrite, v)
		case "metrics":
			if want = set(&s.Metrics, v); want == "" && s.Metrics != "" {
				want = hostPort(s.Metrics)
			}
		case "include":
			l.patterns(c, v)
		case "control_group":
			if want = set(&s.ControlGroup, v); want == "" && !l.applied {
				want = groupName(s.ControlGroup)
			}
		default:
			l.unknown(path, name, supervisorKeys)
		}
		if want != "" {
			l.mismatch(path, name, v, want)
			l.errs[len(l.errs)-1].About = about
		}
	}
}

// token reads the path of a file with a token. about is the file, where it is what is wrong.
func (l *loader) token(to *string, v any) (want, about string) {
	if want := set(to, v); want != "" || *to == "" {
		return want, ""
	}
	*to = l.resolve(*to)
	if _, err := ReadToken(*to); err != nil && !l.applied {
		return "a file with a token: " + err.Error(), *to
	}
	return "", ""
}

func (l *loader) logDir(s *Supervisor, v any) (want string) {
	dir := ""
	if want := set(&dir, v); want != "" || dir == "" {
		return cmp.Or(want, "a path")
	}
	s.LogDir = l.resolve(dir)
	if info, err := os.Stat(s.LogDir); err == nil && !info.IsDir() && !l.applied {
		return "a folder"
	}
	return ""
}

// table returns v as a table; a value of another kind is an error.
func (l *loader) table(path, name string, v any) (tomlTable, bool) {
	if v == nil {
		return nil, false
	}
	t, ok := v.(tomlTable)
	if !ok {
		l.mismatch(path, name, v, "a table, ["+header(path)+"]")
	}
	return t, ok
}

// header returns a path as the header of a table is written: without the elements' numbers.
func header(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p[0] >= '0' && p[0] <= '9' }), ".")
}

func (l *loader) mismatch(path, name string, v any, want string) {
	l.wrong(l.at.value(path), path, "%s = %s: want %s", name, show(v), want)
}

// show returns a value as written in the file, shortened and in one line.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return shorten(strconv.Quote(v))
	case tomlTable, []tomlTable:
		return "{…}"
	case []any:
		if len(v) > 8 {
			return "[…]"
		}
		all := make([]string, len(v))
		for i, one := range v {
			all[i] = show(one)
		}
		return shorten("[" + strings.Join(all, ", ") + "]")
	case time.Time:
		return v.Format(time.RFC3339)
	default:
		return shorten(oneLine(fmt.Sprint(v)))
	}
}

// shownKey returns a key as written in the file, shortened.
func shownKey(name string) string {
	for part := range strings.SplitSeq(name, ".") {
		if strings.IndexFunc(part, func(r rune) bool { return r > 127 || !bareKey(byte(r)) }) >= 0 || part == "" {
			return shorten(strconv.Quote(name))
		}
	}
	return shorten(name)
}

func shorten(text string) string {
	if r := []rune(text); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return text
}

// oneLine keeps a message on one line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
