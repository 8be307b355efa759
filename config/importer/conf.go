package importer

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/python"
	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
)

// readConf reads a gunicorn.conf.py as far as it is plain: NAME = value at the beginning of a line, with
// numbers, texts, cpu_count() and environment variables. All else is named in a note.
func (w *work) readConf(e *entry, g *gunicorn, file, text string) {
	base := path.Base(file)
	p := &python.Evaluator{Vars: map[string]any{}, Env: func(name string) (string, bool) { return w.value(e.s, name) }, Cpus: w.m.Processors()}
	odd := map[string]int{}
	var hooks []string
	for _, s := range python.Statements(text) {
		switch {
		case s.Indented:
			continue
		case definition.MatchString(s.Text):
			name := definition.FindStringSubmatch(s.Text)[1]
			if slices.Contains(gunicornHooks, name) {
				hooks = append(hooks, name)
			}
			continue
		case ignored.MatchString(s.Text):
			continue
		}
		m := assignment.FindStringSubmatch(s.Text)
		if m == nil {
			odd["«"+redact.Shown(s.Text)+"»"] = s.Line
			continue
		}
		name := m[1]
		value, err := p.Eval(m[2])
		if err == nil {
			p.Vars[name] = value
		} else {
			delete(p.Vars, name)
		}
		flag, known := settingFlag(name)
		switch {
		case name == "wsgi_app" && err == nil:
			g.app, _ = value.(string)
		case !known:
		case err != nil:
			e.note("%s, line %d: %s is not plain (%v), so it is left at its default: set it by hand", base, s.Line, name, err)
		default:
			g.setting(flag, value)
			if p.Computed {
				e.note("%s, line %d: %s was computed there, and is %v with this machine's %d processors and the environment above", base, s.Line, name, value, p.Cpus)
			}
		}
		p.Computed = false
	}
	for what, line := range sorted(odd) {
		e.note("%s, line %d: %s is not plain, and left out", base, line, what)
	}
	if len(hooks) > 0 {
		slices.Sort(hooks)
		e.note("%s: no key for gunicorn's hooks (%s); the supervisor writes gunicorn's settings itself", base, strings.Join(slices.Compact(hooks), ", "))
	}
}

var (
	definition = regexp.MustCompile(`^(?:async +)?(?:def|class) +(\w+)`)
	ignored    = regexp.MustCompile(`^(import |from |@|pass$|"|')`)
	assignment = regexp.MustCompile(`(?s)^([A-Za-z_]\w*) *(?::[^=]+)?= *([^=].*)$`)
)

// settingFlag returns what gunicorn's flag for a setting is called.
func settingFlag(name string) (flag string, known bool) {
	if flag, ok := gunicornNames[name]; ok {
		return flag, true
	}
	flag = strings.ReplaceAll(name, "_", "-")
	if slices.Contains(gunicornFlags, flag) || slices.Contains(gunicornSwitches, flag) {
		return flag, true
	}
	return name, slices.Contains(gunicornInFile, name)
}

// setting sets a flag to a value of a file.
func (g *gunicorn) setting(flag string, value any) {
	isSwitch := slices.Contains(gunicornSwitches, flag)
	switch v := value.(type) {
	case nil:
	case bool:
		switch {
		case flag == "sendfile" && !v:
			g.set("no-sendfile", "true")
		case v && isSwitch:
			g.set(flag, "true")
		}
	case int64:
		switch {
		case isSwitch && v == 0:
		case flag == "umask":
			g.set(flag, "0"+strconv.FormatInt(v, 8))
		default:
			g.set(flag, strconv.FormatInt(v, 10))
		}
	case string:
		if v != "" {
			g.set(flag, v)
		}
	case []string:
		for _, one := range v {
			if flag == "env" {
				g.set(flag, one)
			}
		}
		if flag != "env" && len(v) > 0 {
			g.set(flag, strings.Join(v, ","))
		}
	}
}
