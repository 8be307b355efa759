package unitfile

import (
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
)

// File is a unit with its drop-ins.
type File struct {
	Path, Name string // the name with its ending, as systemd knows it
	Options    []*unit.UnitOption
	Notes      []string // what of the text was not understood
}

// IsTemplate reports whether the unit is one of many, medctrl@.service.
func (u *File) IsTemplate() bool { return strings.Contains(u.Name, "@.") }

// Parse reads the text of a unit. go-systemd's parser does not read all that systemd does: lines
// without =, comments between continued lines, lines of more than 2048 bytes.
func Parse(text string) ([]*unit.UnitOption, []string, error) {
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
			notes = append(notes, "the line «"+redact.Shown(line)+"» is not understood, systemd ignores it as well")
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

// All returns the values of a list, which an empty one begins anew.
func (u *File) All(section, name string) []string {
	var values []string
	for _, o := range u.Options {
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

// Last returns the value that counts of an option that is no list.
func (u *File) Last(section, name string) string {
	value := ""
	for _, o := range u.Options {
		if o.Section == section && o.Name == name {
			value = o.Value
		}
	}
	return value
}

// InstanceOf returns what stands behind the @ in a unit's name.
func InstanceOf(name string) string {
	_, rest, ok := strings.Cut(strings.TrimSuffix(name, filepath.Ext(name)), "@")
	if !ok {
		return ""
	}
	return rest
}
