package config

import (
	"strings"
	"testing"
	"unicode/utf16"
)

// What somebody new to the file gets wrong is told in words that say what to do.
func TestFirstMistakesAreToldInPlainWords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	wide := ""
	for _, unit := range utf16.Encode([]rune("\ufeffroot")) {
		wide += string([]byte{byte(unit), byte(unit >> 8)})
	}
	for text, want := range map[string]string{
		"root = /srv\n":        `a text stands in quotes`,
		"root = “run”\n":       "typographic quotes",
		"root: run\n":          "NAME = VALUE",
		"<<<<<<< HEAD\n":       "merge conflict",
		"root = \"C:\\srv\"\n": `write \\ for a backslash`,
		wide:                   "save it as UTF-8",
		"root = \"run\"\n[[build]]\nname = \"one\"\nsource = \"~/src\"\n":     "write the path out",
		"root = \"run\"\n[[build]]\nname = \"one\"\nsource = \"$HOME/src\"\n": "write the path out",
	} {
		if _, err := Check(s.write("builds.toml", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
