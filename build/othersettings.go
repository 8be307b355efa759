package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// leaveOutOthers removes the settings of other builds from the copy of the application, where
// nothing of what this build reads names them: with them this build could log in to their databases.
// What tools make of such a file goes with it (deploy_b.py.orig, deploy_b.pyc).
func (j *job) leaveOutOthers() error {
	var out []string
	folder := settingsFolder(j.app(), j.b)
	for rel := range j.source {
		dir, file := filepath.Split(rel)
		module, _, isPython := strings.Cut(file, ".py")
		if isPython && filepath.Clean(dir) == folder && strings.HasPrefix(module, "deploy_") && module+".py" != filepath.Base(j.b.SettingsFile()) {
			out = append(out, rel)
		}
	}
	if len(out) == 0 {
		return nil
	}
	named := j.namedSettings(folder)
	out = slices.DeleteFunc(out, func(rel string) bool {
		module, _, _ := strings.Cut(filepath.Base(rel), ".py")
		return named[module]
	})
	for _, rel := range out {
		if j.source[rel] != closedEntry {
			if err := os.Remove(filepath.Join(j.app(), rel)); err != nil {
				return fmt.Errorf("leave out the settings of another build: %w", err)
			}
		}
		if j.without == nil {
			j.without = map[string]string{}
		}
		j.without[rel] = short(j.source[rel])
		delete(j.source, rel)
	}
	if len(out) == 0 {
		return nil
	}
	slices.Sort(out)
	_, err := fmt.Fprintf(j.log, "settings of other builds are not in the release: %s\n", strings.Join(out, ", "))
	return err
}

// namedSettings returns the modules deploy_* that this build's settings import, or that what counts
// for this build names in another way that can be an import: not in a comment, nor in prose.
func (j *job) namedSettings(folder string) map[string]bool {
	own := strings.TrimSuffix(filepath.Base(j.b.SettingsFile()), ".py")
	texts := readSettings(j.app(), j.b).texts
	for rel := range j.source {
		dir, file := filepath.Split(rel)
		if filepath.Clean(dir) != folder || filepath.Ext(file) != ".py" || strings.HasPrefix(file, "deploy_") {
			continue
		}
		if text, err := readText(os.OpenFile, filepath.Join(j.app(), rel)); err == nil {
			texts[rel] = string(text)
		}
	}
	named := map[string]bool{own: true}
	var queue []string
	for rel, text := range texts {
		if file := filepath.Base(rel); strings.HasPrefix(file, "deploy_") {
			named[strings.TrimSuffix(file, ".py")] = true
		}
		queue = append(queue, text, j.source.leads(rel))
	}
	for len(queue) > 0 {
		for _, module := range deployNames(queue[0]) {
			if named[module] {
				continue
			}
			named[module] = true
			if text, err := readText(os.OpenFile, filepath.Join(j.app(), folder, module+".py")); err == nil {
				queue = append(queue, string(text), j.source.leads(filepath.Join(folder, module+".py")))
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
