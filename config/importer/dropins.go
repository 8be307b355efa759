package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
)

// unitDirs are where systemd looks for units and their drop-ins.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// withDropIns adds the drop-ins of a unit, which lie beside it, or where systemd looks for them.
func (w *work) withDropIns(u *unitfile.File, instance string) *unitfile.File {
	names := []string{u.Name}
	if prefix, rest, ok := strings.Cut(u.Name, "@"); ok && instance != "" {
		names = append(names, prefix+"@"+instance+strings.TrimPrefix(rest, unitfile.InstanceOf(u.Name)))
	}
	dirs := []string{filepath.Dir(u.Path)}
	if slices.Contains(unitDirs, dirs[0]) {
		dirs = append(dirs, unitDirs...)
	}
	with := *u
	with.Options = slices.Clone(u.Options)
	seen := map[string]bool{}
	for _, name := range names {
		for _, dir := range dirs {
			for _, path := range w.m.Glob(filepath.Join(dir, name+".d", "*.conf")) {
				if seen[filepath.Base(path)] {
					continue // the first folder has it
				}
				seen[filepath.Base(path)] = true
				text, err := w.read(path)
				if err == nil {
					var more []*unit.UnitOption
					var notes []string
					more, notes, err = unitfile.Parse(text)
					with.Options = append(with.Options, more...)
					with.Notes = append(with.Notes, notes...)
				}
				if err != nil {
					with.Notes = append(with.Notes, fmt.Sprintf("the drop-in %s cannot be read: %v", path, err))
				}
			}
		}
	}
	return &with
}
