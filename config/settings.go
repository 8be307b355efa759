package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// placeholders are the texts in the template of a settings file that must be replaced by real
// values.
var placeholders = []string{"random secret key", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD"}

// CheckSettings returns the template's placeholders that are still in the settings file of b, with
// their places. A file that cannot be read is one Error.
func CheckSettings(b Build) []Error {
	path := b.SettingsFile()
	text, err := readText(path)
	if err != nil {
		return []Error{{File: path, Msg: "read settings: " + err.Error()}}
	}
	return checkSettings(path, string(text))
}

func checkSettings(path, text string) []Error {
	var errs []Error
	pythonStrings(text, func(begin, from, to, end int) {
		held := text[from:to]
		if !slices.Contains(placeholders, held) || held != placeholders[0] && isName(text[:begin], text[end:]) {
			return
		}
		line := strings.LastIndexByte(text[:from], '\n') + 1
		errs = append(errs, Error{
			File: path, Line: 1 + strings.Count(text[:from], "\n"), Col: 1 + utf8.RuneCountInString(text[line:from]), Key: held,
			Msg: "the template's placeholder \"" + held + "\" is still there: put the real value in",
		})
	})
	return errs
}

var (
	lookup = regexp.MustCompile(`[\w\])][ \t]*\[\s*$|\w[ \t]*\(\s*$`)
	keyed  = regexp.MustCompile(`^[ \t]*:`)
)

// isName reports whether a string between before and after is the name by which a value is looked
// up: environ["X"], environ.get("X"), {"X": value}.
func isName(before, after string) bool {
	return lookup.MatchString(before[max(0, len(before)-80):]) || keyed.MatchString(after)
}

// pythonStrings calls found for each string literal of a Python text: from its first quote to after
// its last, and the contents between. Comments have none.
func pythonStrings(text string, found func(begin, from, to, end int)) {
	for at := 0; at < len(text); at++ {
		switch c := text[at]; c {
		case '#':
			n := strings.IndexByte(text[at:], '\n')
			if n < 0 {
				return
			}
			at += n
		case '"', '\'':
			mark := text[at : at+1]
			if long := strings.Repeat(mark, 3); strings.HasPrefix(text[at:], long) {
				mark = long
			}
			from := at + len(mark)
			to := endOfString(text, from, mark)
			end := min(to+len(mark), len(text))
			found(at, from, to, end)
			at = end - 1
		}
	}
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
