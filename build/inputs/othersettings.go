package inputs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Unnamed returns the settings of other builds, deploy_*.py next to those of b, that nothing of what b
// reads names, with what tools make of such a file (deploy_b.py.orig, deploy_b.pyc), sorted.
func (t Tree) Unnamed(app string, b config.Build) (all []string) {
	folder := settingsFolder(app, b)
	for rel := range t {
		dir, file := filepath.Split(rel)
		module, _, isPython := strings.Cut(file, ".py")
		if isPython && filepath.Clean(dir) == folder && strings.HasPrefix(module, "deploy_") && module+".py" != filepath.Base(b.SettingsFile()) {
			all = append(all, rel)
		}
	}
	if len(all) == 0 {
		return nil
	}
	named := t.namedSettings(app, folder, b)
	all = slices.DeleteFunc(all, func(rel string) bool {
		module, _, _ := strings.Cut(filepath.Base(rel), ".py")
		return named[module]
	})
	slices.Sort(all)
	return all
}

// namedSettings returns the modules deploy_* that this build's settings import, or that what counts
// for this build names in another way that can be an import: not in a comment, nor in prose.
func (t Tree) namedSettings(app, folder string, b config.Build) map[string]bool {
	own := strings.TrimSuffix(filepath.Base(b.SettingsFile()), ".py")
	texts := readSettings(app, b).texts
	for rel := range t {
		dir, file := filepath.Split(rel)
		if filepath.Clean(dir) != folder || filepath.Ext(file) != ".py" || strings.HasPrefix(file, "deploy_") {
			continue
		}
		if text, err := ReadText(os.OpenFile, filepath.Join(app, rel)); err == nil {
			texts[rel] = string(text)
		}
	}
	named := map[string]bool{own: true}
	var queue []string
	for rel, text := range texts {
		if file := filepath.Base(rel); strings.HasPrefix(file, "deploy_") {
			named[strings.TrimSuffix(file, ".py")] = true
		}
		queue = append(queue, text, t.leads(rel))
	}
	for len(queue) > 0 {
		for _, module := range deployNames(queue[0]) {
			if named[module] {
				continue
			}
			named[module] = true
			if text, err := ReadText(os.OpenFile, filepath.Join(app, folder, module+".py")); err == nil {
				queue = append(queue, string(text), t.leads(filepath.Join(folder, module+".py")))
			}
		}
		queue = queue[1:]
	}
	return named
}

// deployNames returns the modules deploy_* that a program names.
func deployNames(text string) (all []string) {
	for _, t := range pythonTokens(text) {
		if t.literal && strings.ContainsAny(t.text, " \t\r\n") {
			continue // prose
		}
		for at := strings.Index(t.text, "deploy_"); at >= 0; {
			end := at
			for end < len(t.text) && nameByte(t.text[end]) {
				end++
			}
			all = append(all, t.text[at:end])
			next := strings.Index(t.text[end:], "deploy_")
			if next < 0 {
				break
			}
			at = end + next
		}
	}
	return all
}
