package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// copiesFolder is where, in the folder of an attempt, local projects are copied to before they are
// installed, with requirements that name the copies. It does not outlive the install step.
const copiesFolder = ".install"

// installation is what the installer is handed.
type installation struct {
	requirements string // file
	args         []string
	hand         *reads
	copies       map[string]string // of local projects, by their path
	files        map[string]string // of requirements, by the path of the original
}

// prepareInstall returns what the installer is handed: the build's own requirements and arguments,
// unless they name local projects. Of those it gets copies: an environment leads back to no
// checkout, and nothing writes there.
func (j *job) prepareInstall(ctx context.Context) (*installation, error) {
	in := &installation{
		requirements: j.b.RequirementsFile(), args: j.b.PipArgs, hand: j.reads,
		copies: map[string]string{}, files: map[string]string{},
	}
	if len(j.reads.projects) == 0 && !j.reads.generated {
		return in, nil
	}
	dir := filepath.Join(j.temp, copiesFolder)
	if err := makeFolder(dir, 0o750, -1, j.as.GID); err != nil {
		return nil, err
	}
	for i, project := range j.reads.projects {
		to := filepath.Join(dir, projectFolder(i+1, project))
		if err := makeFolder(filepath.Dir(to), 0o750, -1, j.as.GID); err != nil {
			return nil, err
		}
		copied, err := copyProject(ctx, project, j.Root, j.b.Source, to, j.as)
		if err != nil {
			return nil, err
		}
		if copied.sum() != j.reads.sums[project] {
			return nil, errChanged
		}
		in.copies[project] = to
		j.reads.handed = append(j.reads.handed, to, project)
		fmt.Fprintf(j.log, "%s is installed as a copy\n", project) // it is a remark
	}
	for i, f := range j.reads.files {
		if !f.settings {
			in.files[f.path] = filepath.Join(dir, fmt.Sprintf("%d.txt", i+1))
			j.reads.handed = append(j.reads.handed, in.files[f.path], f.path)
		}
	}
	for _, f := range j.reads.files {
		if f.settings {
			continue
		}
		if err := j.mayBeHanded(f); err != nil {
			return nil, fmt.Errorf("read requirements: %w", err)
		}
		path := in.files[f.path]
		if err := os.WriteFile(path, []byte(in.rewrite(f)), 0o640); err != nil {
			return nil, fmt.Errorf("write requirements: %w", err)
		}
		if j.as.GID >= 0 {
			if err := os.Chown(path, -1, j.as.GID); err != nil {
				return nil, fmt.Errorf("write requirements: %w", err)
			}
		}
	}
	in.requirements, in.args = in.files[in.requirements], in.arguments(in.args)
	return in, nil
}

// mayBeHanded returns an error unless the build's user may read a file of requirements: the installer
// reads it itself where it is handed over as it is, and a copy that we make must show no more.
func (j *job) mayBeHanded(f textFile) error {
	if !j.other() || f.err != nil {
		return nil
	}
	r, source := reader{as: j.as}, resolvedAsFar(j.b.Source)
	raw, err := readText(r.from(source, source).opener(anywhere), f.path)
	if err == nil {
		if text, ok, gerr := generated(f.path, raw); ok {
			raw, err = []byte(text), gerr
		}
	}
	if err == nil && !bytes.Equal(raw, f.raw) {
		return errChanged
	}
	return err
}

// rewrite returns a requirements file that names the copies. Its lines keep their numbers, which
// pip says where something is wrong.
func (in *installation) rewrite(f textFile) string {
	var text strings.Builder
	at := 1
	for _, line := range f.lines {
		for ; at < line.number; at++ {
			text.WriteByte('\n')
		}
		text.WriteString(in.line(line.text, filepath.Dir(f.path)) + "\n")
		at++
	}
	if strings.ContainsFunc(text.String(), func(r rune) bool { return r >= 0x80 }) {
		return "\ufeff" + text.String() // whatever the locale
	}
	return text.String()
}

// line returns a line of a requirements file in dir as it is handed over.
func (in *installation) line(text, dir string) string {
	expanded := expand(text, in.hand.env)
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
		if path := pathOf(value, dir); path != "" && in.files[path] != "" {
			return name + " " + quoted(in.files[path])
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

func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'"'"'`) + "'" }

// moved returns a requirement that names a copy in the place of a project.
func (in *installation) moved(text string, editable bool) (string, bool) {
	l, ok := readLocal(text, in.hand.b.Source, editable)
	if !ok || in.copies[l.path] == "" {
		return text, false
	}
	return l.moved(in.copies[l.path]), true
}

// arguments returns arguments for pip that name the copies.
func (in *installation) arguments(args []string) []string {
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
		path := in.files[pathOf(o.value, in.hand.b.Source)]
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
