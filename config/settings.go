package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// placeholders are the texts in the templates of a settings file that must be replaced by real
// values.
var placeholders = []string{
	"random secret key", "baseurl/",
	"DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_HOST", "DATABASE_PORT",
}

// databasePlaceholders are those of the template for developers. They are words that a settings
// file may well contain elsewhere, so they count only as a value in DATABASES.
var databasePlaceholders = []string{"Database name", "Database username", "Database password", "Database host", "Database port"}

// CheckSettings returns the template's placeholders that are still in the settings file of b, with
// their places. A file that cannot be read is one Error.
func CheckSettings(b Build) []Error {
	path := b.SettingsFile()
	text, err := readText(path)
	if err != nil {
		return []Error{{File: path, Msg: "read settings: " + err.Error()}}
	}
	return CheckSettingsText(path, string(text))
}

// CheckSettingsText is CheckSettings of a text that the file at path holds.
func CheckSettingsText(path, text string) []Error {
	var errs []Error
	for _, s := range pythonStrings(text) {
		if !isPlaceholder(s.held, text[:s.begin], text[s.end:]) {
			continue
		}
		line := strings.LastIndexByte(text[:s.from], '\n') + 1
		errs = append(errs, Error{
			File: path, Line: 1 + strings.Count(text[:s.from], "\n"), Col: 1 + utf8.RuneCountInString(text[line:s.from]), Key: s.held,
			Msg: "the template's placeholder \"" + s.held + "\" is still there: put the real value in",
		})
	}
	return errs
}

// isPlaceholder reports whether a string between before and after is a placeholder that was left.
func isPlaceholder(held, before, after string) bool {
	switch {
	case slices.Contains(databasePlaceholders, held):
		return databaseValue.MatchString(tail(before))
	case !slices.Contains(placeholders, held):
		return false
	}
	return !envName.MatchString(held) || !isName(before, after)
}

var (
	lookup        = regexp.MustCompile(`[\w\])][ \t]*\[\s*$|\w[ \t]*\(\s*$`)
	afterName     = regexp.MustCompile(`^[ \t]*(:|(not[ \t]+)?in\b)`)
	databaseValue = regexp.MustCompile(`(["'](NAME|USER|PASSWORD|HOST|PORT)["'][ \t]*\]?[ \t]*[:=]|\b(NAME|USER|PASSWORD|HOST|PORT)[ \t]*=)[\s(]*$`)
)

// isName reports whether a string between before and after is the name by which a value is looked
// up: environ["X"], environ.get("X"), {"X": value}, "X" in environ.
func isName(before, after string) bool {
	return lookup.MatchString(tail(before)) || afterName.MatchString(after)
}

// tail is the end of what comes before a string, as much of it as is looked at.
func tail(before string) string { return before[max(0, len(before)-80):] }

// pythonString is a string of a Python text: from its first quote, or the letters before that, to
// after its last. Literals that Python joins, "a" 'b', are one.
type pythonString struct {
	begin, end int
	from       int // where the contents begin
	held       string
}

// pythonStrings returns the strings of a Python text in their order. Comments have none.
func pythonStrings(text string) []pythonString {
	var all []pythonString
	for at := 0; at < len(text); at++ {
		switch c := text[at]; c {
		case '#':
			n := strings.IndexByte(text[at:], '\n')
			if n < 0 {
				return all
			}
			at += n
		case '"', '\'':
			mark := text[at : at+1]
			if long := strings.Repeat(mark, 3); strings.HasPrefix(text[at:], long) {
				mark = long
			}
			from := at + len(mark)
			to := endOfString(text, from, mark)
			s := pythonString{begin: at - len(literalPrefix(text[:at])), from: from, end: min(to+len(mark), len(text))}
			s.held = continued.ReplaceAllString(text[from:to], "")
			at = s.end - 1
			if n := len(all) - 1; n >= 0 && joined.MatchString(text[all[n].end:s.begin]) {
				if len(all[n].held) <= longest {
					all[n].held += s.held
				}
				all[n].end = s.end
				continue
			}
			all = append(all, s)
		}
	}
	return all
}

var (
	// continued is where a string goes on in the next line.
	continued = regexp.MustCompile(`\\\r?\n`)
	// joined is what may stand between two literals that Python joins to one string. Outside
	// brackets a new line does not join them, but then the second is a statement without an effect.
	joined = regexp.MustCompile(`^(\s|\\\r?\n|#[^\n]*\n)*$`)
)

// longest is more than any placeholder has: what is longer is not joined any further.
const longest = 64

// literalPrefix returns the letters right before a quote that belong to it: r, b, u, f and pairs.
func literalPrefix(before string) string {
	n := len(before)
	for n > 0 && len(before)-n < 2 && strings.IndexByte("rRbBuUfF", before[n-1]) >= 0 {
		n--
	}
	if n > 0 && (before[n-1] == '_' || before[n-1] >= utf8.RuneSelf || isAlphanumeric(before[n-1])) {
		return "" // the end of a name
	}
	return before[n:]
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// endOfString returns where the closing quotes are, or where an unclosed string ends.
func endOfString(text string, at int, mark string) int {
	for ; at < len(text); at++ {
		switch {
		case text[at] == '\\':
			at++
		case strings.HasPrefix(text[at:], mark), text[at] == '\n' && len(mark) == 1:
			return at
		}
	}
	return len(text)
}
