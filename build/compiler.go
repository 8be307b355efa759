package build

import (
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// pythonProgram is how programs of Pythons are named: python3, python3.12, python3.13t, pypy3.
var pythonProgram = regexp.MustCompile(`^(python|pypy)[0-9.]*t?$`)

// compiler returns the program that compiles as ourselves. The build's user must not have had a say
// in which one that is: neither by changing the interpreter that the file names, whose word for it we
// have, nor by what they have put in a release, an environment or the source, where files of theirs
// become ours.
func (j *job) compiler() (string, error) {
	if !j.other() {
		return filepath.EvalSymlinks(j.python.Path)
	}
	named, err := lookPath(j.b.Python, j.env)
	if err != nil {
		return "", fmt.Errorf("find interpreter %q: %w", j.b.Python, err)
	}
	program := ""
	for _, path := range []string{named, j.python.Path} {
		if program, err = filepath.EvalSymlinks(path); err != nil {
			return "", err
		}
		if at := changeable(program, j.as); at != "" {
			return "", fmt.Errorf("the build's user can change %s, so it is not run as the supervisor's own", at)
		}
	}
	if !pythonProgram.MatchString(filepath.Base(program)) {
		return "", fmt.Errorf("%s is not named like a Python, so it is not run as the supervisor's own", program)
	}
	for _, dir := range []string{j.Root, j.b.Source} {
		if inputs.IsWithin(program, inputs.ResolvedAsFar(dir)) {
			return "", fmt.Errorf("%s lies in %s, so it is not run as the supervisor's own", program, dir)
		}
	}
	return program, nil
}

// other says that the build runs as another user than we do.
func (j *job) other() bool { return inputs.Reader{As: j.as}.Other() }

// compileArguments are what compileall is told to compile. A name never begins with "-": a source
// can have a file -i/tmp/list.py, and compileall would compile all that /tmp/list.py lists.
func compileArguments(stale []string) []string {
	if len(stale) > fewStale {
		return []string{"."}
	}
	var all []string
	for _, rel := range stale {
		all = append(all, "./"+rel)
	}
	return all
}
