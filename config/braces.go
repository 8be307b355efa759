package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Braces are what is filled in in a command and in working_dir.
type Braces struct{ Python, Venv, Release, App, Data string }

// braces are their names.
var braces = []string{"{python}", "{venv}", "{release}", "{app}", "{data}"}

// braced is what looks like one of them; other braces are the command's own.
var braced = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_]*\}`)

// Fill fills them in.
func (b Braces) Fill(texts ...string) []string {
	r := strings.NewReplacer("{python}", b.Python, "{venv}", b.Venv, "{release}", b.Release, "{app}", b.App, "{data}", b.Data)
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = r.Replace(text)
	}
	return all
}

// InApp is the working_dir of a build that names none: the Django project in the release.
const InApp = "{app}"

// Missing returns the first name in texts that stands for nothing here, or "".
func (b Braces) Missing(texts ...string) string {
	for _, text := range texts {
		for _, name := range braced.FindAllString(text, -1) {
			if slices.Contains(braces, name) && b.Fill(name)[0] == "" {
				return name
			}
		}
	}
	return ""
}

// Dir returns the folder that working_dir names, of a build whose braces are b.
func (b Braces) Dir(workingDir string) string {
	if workingDir == "" {
		return b.App
	}
	return b.Fill(workingDir)[0]
}

// workingDir wants an absolute path, once its braces are filled in.
func workingDir(v any) string {
	const want = `a folder that begins with {app}, {data}, {release} or a slash, such as "{data}", without ..`
	text := v.(string)
	first, _, _ := strings.Cut(text, "/")
	rest := strings.TrimPrefix(text, first)
	switch {
	case first != "{app}" && first != "{data}" && first != "{release}" && (first != "" || text == ""),
		braced.MatchString(rest), rest != "" && filepath.Clean(rest) != rest, first != "" && rest == "/":
		return want
	}
	return ""
}
