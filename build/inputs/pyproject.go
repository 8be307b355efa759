package inputs

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// pyproject is what counts here of a pyproject.toml (PEP 518, PEP 621).
type pyproject struct {
	Project *struct {
		Dependencies []string
		Dynamic      []string
	}
	Tool struct {
		Poetry     *struct{ Dependencies map[string]any }
		Setuptools struct {
			Dynamic struct{ Dependencies struct{ File any } }
		}
		UV struct{ Sources map[string]any }
	}
}

// generated returns requirements that say what a pyproject.toml or a lock of uv says. ok is false
// for any other file.
func generated(path string, raw []byte) (text string, ok bool, err error) {
	switch filepath.Base(path) {
	case "pyproject.toml":
		text, err = fromPyproject(path, raw)
	case "uv.lock":
		text, err = fromLock(path, raw)
	default:
		return "", false, nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return text, true, err
}

// fromPyproject returns the dependencies of a project, held to the versions of its lock where there
// is one. The project itself is not installed: the application runs from the release. Only where its
// dependencies are known to what builds it alone a copy of it is.
func fromPyproject(path string, raw []byte) (string, error) {
	var p pyproject
	if err := toml.Unmarshal(raw, &p); err != nil {
		return "", err
	}
	lock, all := lockOf(path), []string(nil)
	locked, err := os.Stat(lock)
	hasLock := err == nil && locked.Mode().IsRegular()
	if hasLock {
		all = append(all, "-c "+quoted(lock))
	}
	switch {
	case p.Project == nil && p.Tool.Poetry == nil && !isSetuptools(filepath.Dir(path)):
		return "", errors.New("it has no table [project]: name the dependencies there, or in a requirements file")
	case p.Project == nil || len(p.Project.Dependencies) == 0 && slices.Contains(p.Project.Dynamic, "dependencies"):
		files := dynamicFiles(p.Tool.Setuptools.Dynamic.Dependencies.File)
		for _, file := range files {
			all = append(all, "-r "+quoted(filepath.Join(filepath.Dir(path), file)))
		}
		if len(files) == 0 {
			all = append(all, filepath.Dir(path))
		}
		return strings.Join(all, "\n") + "\n", nil
	}
	for _, d := range p.Project.Dependencies {
		if strings.ContainsAny(d, "\r\n") || strings.HasPrefix(strings.TrimSpace(d), "-") {
			return "", fmt.Errorf("dependency %q: want a requirement", d)
		}
		name := normalName(requirementName.FindString(strings.TrimSpace(d)))
		for source := range p.Tool.UV.Sources {
			if !hasLock && normalName(source) == name {
				return "", fmt.Errorf("the source of %s is known to uv alone: add uv.lock, or write %q with its address", source, name+" @ ...")
			}
		}
		all = append(all, d)
	}
	if hasLock {
		if err := isOf(lock, p.Project.Dependencies); err != nil {
			return "", err
		}
	}
	return strings.Join(all, "\n") + "\n", nil
}

// isSetuptools says that setuptools knows the dependencies of a project from its older files, beside a
// pyproject.toml that only says what builds it.
func isSetuptools(dir string) bool {
	for _, name := range []string{"setup.py", "setup.cfg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// lockOf returns where the lock of a pyproject.toml is, "" for any other file.
func lockOf(path string) string {
	if filepath.Base(path) != "pyproject.toml" {
		return ""
	}
	return filepath.Join(filepath.Dir(path), "uv.lock")
}

// dynamicFiles returns the files that setuptools reads dependencies from.
func dynamicFiles(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, file := range v {
			if s, ok := file.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

var (
	requirementName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)
	nameMarks       = regexp.MustCompile(`[-_.]+`)
)

// normalName is how a package's name is compared (PEP 503).
func normalName(name string) string { return strings.ToLower(nameMarks.ReplaceAllString(name, "-")) }

// uvLock is what counts here of a uv.lock.
type uvLock struct {
	Version int
	Package []lockedPackage
}

type lockedPackage struct {
	Name, Version string
	Markers       []string `toml:"resolution-markers"`
	Source        struct{ Virtual, Editable, Directory, Path, Git, URL string }
}

func readLock(raw []byte) (l uvLock, err error) {
	if err = toml.Unmarshal(raw, &l); err == nil && l.Version != 1 {
		err = fmt.Errorf("its version is %d, want 1: export it, `uv export -o requirements.txt`", l.Version)
	}
	return l, err
}

// isOf says what a lock does not know of the dependencies of its project.
func isOf(path string, dependencies []string) error {
	raw, err := ReadText(Anywhere, path)
	if err != nil {
		return err
	}
	l, err := readLock(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, d := range dependencies {
		name := normalName(requirementName.FindString(strings.TrimSpace(d)))
		if !slices.ContainsFunc(l.Package, func(p lockedPackage) bool { return normalName(p.Name) == name }) {
			return fmt.Errorf("uv.lock does not have %s: run `uv lock`", name)
		}
	}
	return nil
}

// fromLock returns constraints: of each package the version that is locked, or where it comes from.
func fromLock(path string, raw []byte) (string, error) {
	l, err := readLock(raw)
	if err != nil {
		return "", err
	}
	times := map[string]int{}
	for _, p := range l.Package {
		times[normalName(p.Name)]++
	}
	var text strings.Builder
	for _, p := range l.Package {
		from := p.Source.Editable + p.Source.Directory + p.Source.Path
		line := ""
		switch {
		case p.Source.Virtual != "" || from == ".":
			continue // the project itself
		case from != "":
			line = p.Name + " @ " + (&url.URL{Scheme: "file", Path: pathOf(from, filepath.Dir(path))}).String()
		case p.Source.Git != "":
			if line, err = gitAddress(p); err != nil {
				return "", err
			}
		case p.Source.URL != "":
			line = p.Name + " @ " + p.Source.URL
		case p.Version == "" || requirementName.FindString(p.Name) != p.Name || strings.ContainsAny(p.Version, " \t\r\n;#"):
			return "", fmt.Errorf("package %q has no version that can be installed", p.Name)
		default:
			line = p.Name + "==" + p.Version
		}
		if times[normalName(p.Name)] > 1 {
			if len(p.Markers) == 0 {
				return "", fmt.Errorf("package %s is there more than once, without markers: export it, `uv export -o requirements.txt`", p.Name)
			}
			line += " ; (" + strings.Join(p.Markers, ") or (") + ")"
		}
		text.WriteString(line + "\n")
	}
	return text.String(), nil
}

// gitAddress returns a package from a repository at the commit that is locked, as pip takes it.
func gitAddress(p lockedPackage) (string, error) {
	u, err := url.Parse(p.Source.Git)
	if err != nil || u.Fragment == "" {
		return "", fmt.Errorf("package %s: its address names no commit", p.Name)
	}
	commit, folder := u.Fragment, u.Query().Get("subdirectory")
	u.RawQuery, u.Fragment = "", ""
	line := p.Name + " @ git+" + u.String() + "@" + commit
	if folder != "" {
		line += "#subdirectory=" + folder
	}
	return line, nil
}
