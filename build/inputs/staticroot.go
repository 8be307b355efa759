package inputs

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

var (
	namesStatic = regexp.MustCompile(`\bSTATIC_ROOT\b`)
	// staticLiteral is an assignment of a path that is written out, as a statement of its own that is
	// in no block: STATIC_ROOT = "/srv/static", also as Path("/srv/static").
	staticLiteral = regexp.MustCompile(`(?m)^STATIC_ROOT[ \t]*=[ \t]*(?:(?:pathlib\.)?Path\([ \t]*)?[rRuU]?["'](/[^"'\\\n{}%]*)["'][ \t]*\)?[ \t]*(?:#[^\n]*)?\r?$`)
	importsAll    = regexp.MustCompile(`(?m)^from[ \t]+\S+[ \t]+import[ \t]*\(?[ \t]*\*`)
)

// WrittenStaticRoot returns the STATIC_ROOT that the settings of b write out, "" where it is put
// together or set more than once.
func WrittenStaticRoot(b config.Build) string {
	own := filepath.Join(b.SettingsDir, filepath.Base(b.SettingsFile()))
	settings := readSettings(b.AppPath(), b)
	texts := []string{settings.texts[own]}
	if !namesStatic.MatchString(texts[0]) {
		if !importsAll.MatchString(texts[0]) {
			return ""
		}
		for rel, text := range settings.texts {
			if rel != own {
				texts = append(texts, text)
			}
		}
	}
	texts = slices.DeleteFunc(texts, func(text string) bool { return !namesStatic.MatchString(withoutComments(text)) })
	if len(texts) != 1 || len(namesStatic.FindAllString(withoutComments(texts[0]), -1)) != 1 {
		return ""
	}
	if found := staticLiteral.FindStringSubmatch(texts[0]); found != nil {
		return filepath.Clean(found[1])
	}
	return ""
}

// withoutComments is a program without the lines that are comments.
func withoutComments(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
