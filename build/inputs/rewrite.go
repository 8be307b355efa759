package inputs

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// rewriting is a set of requirements with copies of the local projects that they name.
type rewriting struct {
	reads  *Reads
	Copies map[string]string // of local projects, by their path
	Files  map[string]string // of requirements, by the path of the original
}

// Rewritten begins a rewriting of r: local projects are to be copied to folders of dir, and requirements
// written to files of dir.
func (r *Reads) Rewritten(dir string) *rewriting {
	in := &rewriting{reads: r, Copies: map[string]string{}, Files: map[string]string{}}
	for i, project := range r.Projects {
		in.Copies[project] = filepath.Join(dir, projectFolder(i+1, project))
		r.Handed = append(r.Handed, in.Copies[project], project)
	}
	for i, f := range r.Files {
		if !f.Settings {
			in.Files[f.Path] = filepath.Join(dir, fmt.Sprintf("%d.txt", i+1))
			r.Handed = append(r.Handed, in.Files[f.Path], f.Path)
		}
	}
	return in
}

// ReadAs reads a file of requirements as somebody may who runs as as, with what stands for it in
// requirements: raw of a textFile, unless it has changed.
func (f TextFile) ReadAs(as config.Identity, source string) ([]byte, error) {
	r, real := Reader{As: as}, ResolvedAsFar(source)
	raw, err := ReadText(r.from(real, real).opener(Anywhere), f.Path)
	if err == nil {
		if text, ok, gerr := generated(f.Path, raw); ok {
			raw, err = []byte(text), gerr
		}
	}
	return raw, err
}

// Rewrite returns a requirements file that names the copies. Its lines keep their numbers, which
// pip says where something is wrong.
func (in *rewriting) Rewrite(f TextFile) string {
	var text strings.Builder
	at := 1
	for _, line := range f.lines {
		for ; at < line.number; at++ {
			text.WriteByte('\n')
		}
		text.WriteString(in.line(line.text, filepath.Dir(f.Path)) + "\n")
		at++
	}
	if strings.ContainsFunc(text.String(), func(r rune) bool { return r >= 0x80 }) {
		return "\ufeff" + text.String() // whatever the locale
	}
	return text.String()
}

// line returns a line of a requirements file in dir as it is handed over.
func (in *rewriting) line(text, dir string) string {
	expanded := expand(text, in.reads.env)
	l := readLine(expanded)
	if len(l.words) > 0 {
		if moved, ok := in.moved(l.words[0], false); ok {
			return strings.TrimSpace(moved + " " + l.rest)
		}
		return text
	}
	if editable := l.value("--editable"); editable != "" {
		if moved, ok := in.moved(editable, true); ok {
			return moved
		}
		return text
	}
	for _, name := range []string{"--requirement", "--constraint"} {
		value := l.value(name)
		if value == "" {
			continue
		}
		if path := pathOf(value, dir); path != "" && in.Files[path] != "" {
			return name + " " + quoted(in.Files[path])
		}
		return text
	}
	for _, o := range l.options {
		// Relative to the file, where it is there, else to the working folder.
		path := pathOf(o.value, dir)
		if _, err := os.Stat(path); o.name == "--find-links" && path != "" && err == nil {
			return strings.Replace(expanded, o.value, path, 1)
		}
	}
	return text
}

// moved returns a requirement that names a copy in the place of a project.
func (in *rewriting) moved(text string, editable bool) (string, bool) {
	l, ok := readLocal(text, in.reads.b.Source, editable)
	if !ok || in.Copies[l.path] == "" {
		return text, false
	}
	return l.moved(in.Copies[l.path]), true
}

// Arguments returns arguments for pip that name the copies.
func (in *rewriting) Arguments(args []string) []string {
	includes := []string{"--requirement", "--constraint", "--build-constraint"}
	var all []string
	for i := 0; i < len(args); i++ {
		one := readArguments(args[i : i+1])
		if len(one.options) == 0 { // a requirement, or a flag
			word, _ := in.moved(args[i], false)
			all = append(all, word)
			continue
		}
		o, next := one.options[0], i
		if o.value == "" && i+1 < len(args) {
			next, o.value = i+1, args[i+1]
		}
		path := in.Files[pathOf(o.value, in.reads.b.Source)]
		moved, isCopy := in.moved(o.value, true)
		switch {
		case o.name == "--editable" && isCopy:
			all = append(all, moved)
		case slices.Contains(includes, o.name) && path != "":
			all = append(all, o.name, path)
		default:
			all = append(all, args[i:next+1]...)
		}
		i = next
	}
	return all
}

// projectFolder is a name for the copy of a project: its own, where that is nothing but letters.
func projectFolder(n int, dir string) string {
	name := regexp.MustCompile(`[^\w-]+`).ReplaceAllString(filepath.Base(dir), "")
	return filepath.Join(fmt.Sprint(n), cmp.Or(name, "project"))
}

// CopyFiles copies the requirements as far as they are inside the source to dir, for people
// who look at the release.
func (r *Reads) CopyFiles(dir string, as config.Identity) error {
	real := ResolvedAsFar(r.b.Source)
	source, err := os.OpenRoot(real)
	if err != nil {
		return fmt.Errorf("copy requirements: %w", err)
	}
	defer source.Close()
	for _, path := range r.requirements() {
		rel, err := filepath.Rel(r.b.Source, path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return fmt.Errorf("copy requirements: %w", err)
		}
		if _, err := os.Lstat(to); err == nil {
			continue // it is inside the application
		}
		text, err := ReadText(Reader{As: as}.from(real, real).opener(within(source)), rel)
		if err == nil {
			err = os.WriteFile(to, text, 0o640)
		}
		if err != nil {
			return fmt.Errorf("copy requirements: %w", err)
		}
	}
	return nil
}
