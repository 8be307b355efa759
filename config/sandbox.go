package config

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Sandbox says what the processes of a build may reach in addition to their own release, their data
// and the system.
type Sandbox struct {
	Enabled       bool
	Read, Write   []string // with braces
	Connect, Bind Ports
}

// Ports are TCP ports. Where they are not Limited, all are meant.
type Ports struct {
	Limited bool
	List    []uint16
}

// TCP returns the ports, nil for all.
func (p Ports) TCP() *[]uint16 {
	if !p.Limited {
		return nil
	}
	return &p.List
}

func parsePorts(v any) (Ports, bool) {
	list, ok := v.([]any)
	if !ok {
		return Ports{}, false
	}
	p := Ports{Limited: true}
	for _, one := range list {
		n, ok := one.(int64)
		if !ok || n < 1 || n > 65535 || slices.Contains(p.List, uint16(n)) {
			return Ports{}, false
		}
		p.List = append(p.List, uint16(n))
	}
	return p, true
}

// sandboxPaths wants paths, once their braces are filled in.
func sandboxPaths(v any) (wrong []part) {
	for i, text := range v.([]string) {
		first, rest, _ := strings.Cut(text, "/")
		switch {
		case text == "", braced.MatchString(rest), braced.MatchString(first) && !slices.Contains([]string{"{app}", "{data}", "{release}", "{venv}"}, first):
			wrong = append(wrong, part{strconv.Itoa(i), text, "a path, which may begin with {app}, {data}, {release} or {venv}"})
		}
	}
	return wrong
}

// sandbox makes the paths of [build.sandbox] absolute, and refuses those that are not there or that
// would open what keeps the builds apart.
func (l *loader) sandbox(c *Config, b *Build, from origins, wrong func(key, about, format string, args ...any)) {
	for _, list := range []struct {
		key   string
		paths *[]string
		write bool
	}{{"sandbox.read", &b.Sandbox.Read, false}, {"sandbox.write", &b.Sandbox.Write, true}} {
		if from[list.key].bad {
			continue
		}
		resolved := make([]string, 0, len(*list.paths)) // that of [defaults] is shared
		for _, text := range *list.paths {
			if strings.HasPrefix(text, "{") {
				resolved = append(resolved, filepath.Clean(text))
				continue
			}
			path := from[list.key].resolve(text)
			resolved = append(resolved, path)
			if _, err := os.Stat(path); err != nil {
				wrong(list.key, path, "%s: %q: there is no such file or folder: make it, or take it out%s", list.key, text, unexpanded(path))
			} else if opened := l.opened(c, path, list.write); opened != "" {
				wrong(list.key, "", "%s: %q would open %s, which keeps the builds apart: name what the build needs of it", list.key, text, opened)
			}
		}
		if len(resolved) > 0 {
			*list.paths = resolved
		}
	}
}

// opened returns what of the supervisor a path in a sandbox would open to a build: its own folder,
// the folder of all builds and, where the path may be written, what these lie in and the file.
func (l *loader) opened(c *Config, path string, write bool) string {
	if c.Root == "" {
		return ""
	}
	real, root, own := l.links.follow(path), l.links.follow(c.Root), l.links.follow(layout.Root(c.Root).Own())
	switch {
	case real == own, within(own, real):
		return own
	case real == root, write && within(real, root):
		return root
	}
	for _, file := range l.own {
		if file = l.links.follow(file); real == file || write && within(real, file) {
			return file
		}
	}
	for _, pattern := range c.Include {
		if folder := l.links.follow(filepath.Dir(pattern)); write && (real == folder || within(real, folder)) {
			return folder // a file there would be included
		}
	}
	return ""
}

// private tells every build what no sandbox opens.
func (l *loader) private(c *Config) {
	if !slices.ContainsFunc(c.Builds, func(b Build) bool { return b.Sandbox.Enabled }) {
		return
	}
	var all []string
	for _, path := range append(slices.Clone(l.own), c.Root, c.Supervisor.DashboardWrite) {
		if path != "" {
			all = append(all, l.links.follow(path))
		}
	}
	for i := range c.Builds {
		if file := c.Builds[i].EnvFile; file != "" {
			all = append(all, l.links.follow(file))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for i := range c.Builds {
		c.Builds[i].Private = all
	}
}
