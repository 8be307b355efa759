package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// Written is a key with its value, as a file has them.
type Written struct {
	Key     string   // with that of its table: "workers", "health.path", "process.count"
	Value   string   // in TOML; it may hold secrets
	Texts   []string // that are in the value, in their order; of a table its values
	Default bool     // it is what holds where the key is left out
}

// Written returns the keys of b in the order of the documentation, and then those of its tables. name
// is not among them, nor are processes and schedules.
func (b Build) Written() []Written {
	standard := defaultBuild()
	var all []Written
	add := func(prefix string, known []key) {
		for _, k := range known {
			all = append(all, writtenKey(prefix+k.name, k.field(&b), k.field(&standard)))
		}
	}
	add("", keys)
	for _, table := range []struct {
		name string
		keys []key
	}{{"health", healthKeys}, {"hooks", hookKeys}, {"steps", stepKeys}, {"sandbox", sandboxKeys}, {"limits", limitKeys}} {
		add(table.name+".", table.keys)
	}
	return all
}

// Written returns the keys of a table [[build.process]].
func (p Process) Written() []Written {
	return ownWritten(processKey, processTable, p, defaultProcess())
}

// Written returns the keys of a table [[build.schedule]].
func (s Schedule) Written() []Written {
	return ownWritten(scheduleKey, scheduleTable, s, defaultSchedule())
}

func ownWritten[T any](table string, known []ownKey[T], one, standard T) []Written {
	var all []Written
	for _, k := range known {
		all = append(all, writtenKey(table+"."+k.name, k.field(&one), k.field(&standard)))
	}
	return all
}

// Written returns root and the keys of [supervisor].
func (c *Config) Written() []Written {
	s, standard := c.Supervisor, c.standardSupervisor()
	all := []Written{writtenKey("root", &c.Root, new(string))}
	for _, name := range supervisorKeys {
		field, usual := s.field(name), standard.field(name)
		switch name { // these are not of Supervisor
		case "include":
			field, usual = &c.Include, new([]string)
		case "front_proxies":
			var proxies []string
			for _, p := range c.FrontProxies {
				proxies = append(proxies, p.String())
			}
			field, usual = &proxies, new([]string)
		}
		all = append(all, writtenKey("supervisor."+name, field, usual))
	}
	return all
}

func (c *Config) standardSupervisor() Supervisor {
	return Supervisor{LogLevel: "info", LogFormat: "text", MaxParallelBuilds: 1, LogDir: layout.Root(c.Root).Logs()}
}

// field returns where the value of a key of [supervisor] is kept; nil for others.
func (s *Supervisor) field(name string) any {
	return map[string]any{
		"log_level": &s.LogLevel, "log_format": &s.LogFormat, "log_dir": &s.LogDir, "max_parallel_builds": &s.MaxParallelBuilds,
		"front": &s.Front, "dashboard": &s.Dashboard, "dashboard_read": &s.DashboardRead, "dashboard_write": &s.DashboardWrite,
		"metrics": &s.Metrics, "control_group": &s.ControlGroup,
	}[name]
}

func writtenKey(name string, field, standard any) Written {
	w := Written{Key: name, Texts: textsOf(field), Default: reflect.DeepEqual(field, standard)}
	if m, is := field.(*migration); is {
		usual := standard.(*migration)
		w.Default = *m.on == *usual.on && slices.Equal(*m.databases, *usual.databases)
	}
	w.Value = inTOML(field)
	return w
}

func textsOf(field any) []string {
	switch f := field.(type) {
	case *string:
		return []string{*f}
	case *[]string:
		return *f
	case *[][]string:
		return slices.Concat(*f...)
	case *map[string]string:
		return slices.Collect(maps.Values(*f))
	}
	return nil
}

// inTOML writes the value of a field so that set reads it.
func inTOML(field any) string {
	switch f := field.(type) {
	case *string:
		return tomltext.Text(*f)
	case *Restart:
		return tomltext.Text(string(*f))
	case *time.Duration:
		return tomltext.Text(shortTime(*f))
	case *[]string:
		return tomltext.Texts(*f)
	case *[][]string:
		return tomltext.Lists(*f)
	case *map[string]string:
		return tomltext.Table(*f)
	case *os.FileMode:
		return fmt.Sprintf(`"%04o"`, *f)
	case *migration:
		if *f.on && len(*f.databases) > 0 {
			return tomltext.Texts(*f.databases)
		}
		return strconv.FormatBool(*f.on)
	case *Expect:
		return fmt.Sprintf(`"%d-%d"`, f.Min, f.Max)
	case *Size:
		if *f == 0 {
			return tomltext.Text(none)
		}
		return tomltext.Text(f.String())
	case *CoreSize:
		if *f == NoLimit {
			return `"unlimited"`
		}
		return tomltext.Text(Size(*f).String())
	case *Cores, *Count:
		if v := reflect.ValueOf(field).Elem(); v.IsZero() {
			return tomltext.Text(none)
		}
	case *Ports:
		if !f.Limited {
			return "" // it can only be left out
		}
		return strings.ReplaceAll(fmt.Sprint(f.List), " ", ", ")
	}
	return fmt.Sprint(reflect.ValueOf(field).Elem().Interface())
}

// InSource returns where path lies in the source of b, as far as it does.
func (b Build) InSource(path string) (rel string, ok bool) {
	rel, err := filepath.Rel(b.Source, path)
	return rel, err == nil && filepath.IsLocal(rel)
}
