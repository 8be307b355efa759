package inputs

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Placeholders returns the template's placeholders that the settings of b have from other modules of the
// application. Those in the settings file itself config.CheckSettings finds. A module says only what a
// setting is at first: where any other one, or the module itself, may give it another value, the
// placeholder may well be gone when the settings are read, and it is for the database to refuse.
func Placeholders(b config.Build) (all config.Errors) {
	own := filepath.Join(b.SettingsDir, filepath.Base(b.SettingsFile()))
	settings := readSettings(b.AppPath(), b)
	for _, rel := range settings.files() {
		text, read := settings.texts[rel]
		if !read || rel == own || !settings.sure[rel] {
			continue
		}
		for _, e := range config.CheckSettingsText(filepath.Join(b.AppPath(), rel), text) {
			if name := assignedAt(text, e.Line); name != "" && !settings.setElsewhere(rel, name) {
				all = append(all, e)
			}
		}
	}
	return all
}

var (
	assignment = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)[ \t]*(?::[^=\n]*)?=[^=]`)
	// goesOn is a line that is no statement of its own, though it is not indented.
	goesOn = regexp.MustCompile(`^(\s|[)\]}"'#]|$)`)
)

// assignedAt returns the setting that the statement at a line of a program sets, "" where that is in
// a block, and so perhaps not done.
func assignedAt(text string, line int) string {
	lines := strings.Split(text, "\n")
	for n := min(line, len(lines)) - 1; n >= 0; n-- {
		if found := assignment.FindStringSubmatch(lines[n]); found != nil {
			return found[1]
		}
		if !goesOn.MatchString(lines[n]) {
			return ""
		}
	}
	return ""
}

// setElsewhere says whether the settings may give a setting, which the module at rel sets, another
// value: by an assignment, or by a change of what is in it.
func (c *settingsClosure) setElsewhere(rel, name string) bool {
	sets := regexp.MustCompile(`(?m)^[ \t]*` + name + `[ \t]*(\[|\.\w|\||:|=[^=])[^\n]*`)
	passedOn := regexp.MustCompile(`=[ \t]*[\w.]+\.` + name + `[ \t]*\r?$`) // from a module that has it
	for other, text := range c.texts {
		times := 0
		for _, line := range sets.FindAllString(withoutComments(text), -1) {
			if !passedOn.MatchString(line) {
				times++
			}
		}
		if other != rel && times > 0 || times > 1 {
			return true
		}
	}
	return false
}
