package config

import (
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// placeholders are what the template of a settings file has where a value of
// one's own belongs. They are looked for inside quotes.
var placeholders = regexp.MustCompile(`["'](random secret key|DATABASE_NAME|DATABASE_USER|DATABASE_PASSWORD)["']`)

// CheckSettings answers what of the template is still in the settings file of b,
// with its place in that file. A file that cannot be read is one Error.
func CheckSettings(b Build) []Error {
	path := b.SettingsFile()
	text, err := os.ReadFile(path)
	if err != nil {
		return []Error{{File: path, Msg: "read settings: " + err.Error()}}
	}
	var errs []Error
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		code := line
		if strings.HasPrefix(strings.TrimSpace(code), "#") {
			continue
		}
		for _, at := range placeholders.FindAllStringSubmatchIndex(code, -1) {
			name := code[at[2]:at[3]]
			before := strings.TrimRight(code[:at[0]], " ")
			if strings.HasSuffix(before, "[") || strings.HasSuffix(before, "environ.get(") || strings.HasSuffix(before, "getenv(") {
				continue // the name of a setting or variable, not its value
			}
			errs = append(errs, Error{
				File: path, Line: n, Col: utf8.RuneCountInString(code[:at[2]]) + 1, Key: name,
				Msg: "the template's placeholder \"" + name + "\" is still there: put the real value in",
			})
		}
	}
	return errs
}
