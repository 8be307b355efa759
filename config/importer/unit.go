package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitFile is a unit with its drop-ins.
type unitFile struct {
	path, name string // the name with its ending, as systemd knows it
	options    []*unit.UnitOption
	notes      []string // what of the text was not understood
}

// isTemplate reports whether the unit is one of many, medctrl@.service.
func (u *unitFile) isTemplate() bool { return strings.Contains(u.name, "@.") }

// parseUnit reads the text of a unit. go-systemd's parser does not read all that systemd does: lines
// without =, comments between continued lines, lines of more than 2048 bytes.
func parseUnit(text string) ([]*unit.UnitOption, []string, error) {
	var lines, notes []string
	joined, section := "", false
	for line := range strings.Lines(text + "\n\n") { // the last line may end in a backslash
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		comment := strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";")
		switch {
		case comment:
			continue // also between continued lines, as systemd reads them
		case strings.HasSuffix(strings.TrimRight(line, " \t"), `\`):
			joined += strings.TrimSuffix(strings.TrimRight(line, " \t"), `\`) + " "
			continue
		}
		line = strings.TrimSpace(joined + line)
		joined = ""
		head := strings.HasPrefix(line, "[")
		switch {
		case line == "":
			continue
		case head && !strings.HasSuffix(line, "]"), !head && (!strings.Contains(line, "=") || strings.HasPrefix(line, "=")), !head && !section:
			notes = append(notes, "the line «"+shown(line)+"» is not understood, systemd ignores it as well")
			continue
		case head:
			section = true
		}
		lines = append(lines, fold(line)...)
	}
	options, err := unit.DeserializeOptions(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		return nil, nil, err
	}
	for _, o := range options {
		o.Value = strings.TrimSpace(strings.ReplaceAll(o.Value, "\\\n", ""))
	}
	return options, notes, nil
}

// fold breaks a line that is too long for the parser where it has white space.
func fold(line string) []string {
	const most = unit.SYSTEMD_LINE_MAX / 2
	var all []string
	for len(line) > most {
		at := strings.LastIndexByte(line[:most], ' ')
		if at <= strings.IndexByte(line, '=') {
			break
		}
		all = append(all, line[:at+1]+`\`)
		line = line[at+1:]
	}
	return append(all, line)
}

// all returns the values of a list, which an empty one begins anew.
func (u *unitFile) all(section, name string) []string {
	var values []string
	for _, o := range u.options {
		if o.Section == section && o.Name == name {
			if o.Value == "" {
				values = nil
				continue
			}
			values = append(values, o.Value)
		}
	}
	return values
}

// last returns the value that counts of an option that is no list.
func (u *unitFile) last(section, name string) string {
	value := ""
	for _, o := range u.options {
		if o.Section == section && o.Name == name {
			value = o.Value
		}
	}
	return value
}

// unitDirs are where systemd looks for units and their drop-ins.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// withDropIns adds the drop-ins of a unit, which lie beside it, or where systemd looks for them.
func (w *work) withDropIns(u *unitFile, instance string) *unitFile {
	names := []string{u.name}
	if prefix, rest, ok := strings.Cut(u.name, "@"); ok && instance != "" {
		names = append(names, prefix+"@"+instance+strings.TrimPrefix(rest, instanceOf(u.name)))
	}
	dirs := []string{filepath.Dir(u.path)}
	if slices.Contains(unitDirs, dirs[0]) {
		dirs = append(dirs, unitDirs...)
	}
	with := *u
	with.options = slices.Clone(u.options)
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
					more, notes, err = parseUnit(text)
					with.options = append(with.options, more...)
					with.notes = append(with.notes, notes...)
				}
				if err != nil {
					with.notes = append(with.notes, fmt.Sprintf("the drop-in %s cannot be read: %v", path, err))
				}
			}
		}
	}
	return &with
}

// instanceOf returns what stands behind the @ in a unit's name.
func instanceOf(name string) string {
	_, rest, ok := strings.Cut(strings.TrimSuffix(name, filepath.Ext(name)), "@")
	if !ok {
		return ""
	}
	return rest
}
