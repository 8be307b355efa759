package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is how an entry differs from the previous one.
type Change struct {
	Name  string
	Cost  Cost // of its most expensive key
	Keys  []string
	Edits []Edit // of each key, in the same order
}

// Plan is what differs between two files.
type Plan struct {
	Added, Removed []string
	Changed        []Change
	Supervisor     []string // keys of [supervisor], and root
	edits          []Edit   // of these
}

// Diff returns what must be done to go from one Config to another.
func Diff(old, next *Config) Plan {
	var p Plan
	for _, b := range next.Builds {
		before, ok := old.Build(b.Name)
		if !ok {
			p.Added = append(p.Added, b.Name)
		} else if c := compare(before, b); len(c.Keys) > 0 {
			p.Changed = append(p.Changed, c)
		}
	}
	for _, b := range old.Builds {
		if _, ok := next.Build(b.Name); !ok {
			p.Removed = append(p.Removed, b.Name)
		}
	}
	for _, k := range []struct {
		name         string
		before, then any
	}{
		{"root", old.Root, next.Root},
		{"log_level", old.Supervisor.LogLevel, next.Supervisor.LogLevel},
		{"log_format", old.Supervisor.LogFormat, next.Supervisor.LogFormat},
		{"log_dir", old.Supervisor.LogDir, next.Supervisor.LogDir},
		{"max_parallel_builds", old.Supervisor.MaxParallelBuilds, next.Supervisor.MaxParallelBuilds},
		{"front", old.Supervisor.Front, next.Supervisor.Front},
		{"dashboard", old.Supervisor.Dashboard, next.Supervisor.Dashboard},
		{"dashboard_read", old.Supervisor.DashboardRead, next.Supervisor.DashboardRead},
		{"dashboard_write", old.Supervisor.DashboardWrite, next.Supervisor.DashboardWrite},
		{"metrics", old.Supervisor.Metrics, next.Supervisor.Metrics},
		{"control_group", old.Supervisor.ControlGroup, next.Supervisor.ControlGroup},
	} {
		if k.before != k.then {
			p.Supervisor = append(p.Supervisor, k.name)
			p.edits = append(p.edits, editOf(k.name, 0, &k.before, &k.then))
		}
	}
	if !slices.Equal(old.FrontProxies, next.FrontProxies) {
		p.Supervisor = append(p.Supervisor, "front_proxies")
	}
	if !slices.Equal(old.Include, next.Include) {
		p.Supervisor = append(p.Supervisor, "include")
	}
	return p
}

func compare(before, then Build) Change {
	c := Change{Name: then.Name}
	add := func(prefix string, known []key) {
		for _, k := range known {
			if !reflect.DeepEqual(k.field(&before), k.field(&then)) {
				c.Keys = append(c.Keys, prefix+k.name)
				c.Edits = append(c.Edits, editOf(prefix+k.name, k.cost, k.field(&before), k.field(&then)))
				c.Cost = max(c.Cost, k.cost)
			}
		}
	}
	add("", keys)
	add("health.", healthKeys)
	add("hooks.", hookKeys)
	add("steps.", stepKeys)
	add("sandbox.", sandboxKeys)
	add("limits.", limitKeys)
	if !reflect.DeepEqual(before.Processes, then.Processes) {
		c.Keys = append(c.Keys, processKey)
		c.Cost = max(c.Cost, CostLive)
	}
	if !reflect.DeepEqual(before.Schedules, then.Schedules) {
		c.Keys = append(c.Keys, scheduleKey)
		c.Cost = max(c.Cost, CostLive)
	}
	if !slices.Equal(before.Limits.Groups(), then.Limits.Groups()) {
		c.Cost = max(c.Cost, CostRestart)
		for i := range c.Edits {
			if strings.HasPrefix(c.Edits[i].Key, "limits.") {
				c.Edits[i].Cost = max(c.Edits[i].Cost, CostRestart)
			}
		}
	}
	return c
}

// Empty reports whether nothing differs.
func (p Plan) Empty() bool {
	return len(p.Added)+len(p.Removed)+len(p.Changed)+len(p.Supervisor) == 0
}

// String returns one line for each build that differs, and for the supervisor, with the keys and
// without their values; "" if nothing does.
func (p Plan) String() string {
	var s strings.Builder
	for _, name := range p.Added {
		fmt.Fprintf(&s, "%s: new, is built and started\n", name)
	}
	for _, name := range p.Removed {
		fmt.Fprintf(&s, "%s: removed, drains and stops\n", name)
	}
	for _, c := range p.Changed {
		fmt.Fprintf(&s, "%s: %s: %s\n", c.Name, c.Cost, strings.Join(c.Keys, ", "))
	}
	if len(p.Supervisor) > 0 {
		names := strings.Join(p.Supervisor, ", ")
		fmt.Fprintf(&s, "supervisor: %s\n", strings.Replace(names, "log_format", "log_format (from the next start or upgrade on)", 1))
	}
	return s.String()
}
