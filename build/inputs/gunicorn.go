package inputs

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// IsGunicorn says whether a package's name, with its version or without, is gunicorn's or that of a
// package that brings gunicorn along.
func IsGunicorn(name string) bool {
	name = normalName(name)
	return strings.Contains(name, "gunicorn") || strings.HasPrefix(name, "uvicorn-worker")
}

// otherRequirements is a setting of pip that names more requirements.
var otherRequirements = regexp.MustCompile(`(?m)^(requirement|editable|group)\s*[:=]`)

// MayHaveGunicorn says whether the requirements list gunicorn, or what else they install cannot be
// told: a project, an address, what a variable stands for, what cannot be read.
func (r *Reads) MayHaveGunicorn() bool {
	if len(r.Projects) > 0 || r.refused != nil {
		return true
	}
	for _, entry := range r.Variables {
		name, value, _ := strings.Cut(entry, "=")
		if value != "" && slices.Contains([]string{"PIP_REQUIREMENT", "PIP_EDITABLE", "PIP_GROUP"}, name) {
			return true
		}
	}
	for _, f := range r.Files {
		if f.Settings && f.Err == nil && otherRequirements.Match(f.Raw) {
			return true
		}
	}
	var seen []string
	if r.listMayHaveGunicorn(r.b.RequirementsFile(), &seen) {
		return true
	}
	args := readArguments(r.b.PipArgs)
	if slices.ContainsFunc(args.words, func(word string) bool { return mayBeGunicorn(word, r.b.Source) }) {
		return true
	}
	return slices.ContainsFunc(args.options, func(o pipOption) bool { return r.optionMayHaveGunicorn(o, r.b.Source, &seen) })
}

// listMayHaveGunicorn is MayHaveGunicorn of one file of requirements and those that it includes.
func (r *Reads) listMayHaveGunicorn(path string, seen *[]string) bool {
	if slices.Contains(*seen, path) {
		return false
	}
	*seen = append(*seen, path)
	at := slices.IndexFunc(r.Files, func(f TextFile) bool { return f.Path == path })
	if at < 0 || r.Files[at].Err != nil {
		return true
	}
	for _, line := range r.Files[at].lines {
		l := readLine(expand(line.text, r.env))
		if len(l.words) > 0 {
			if mayBeGunicorn(l.words[0], r.b.Source) {
				return true
			}
			continue
		}
		for _, o := range l.options {
			if r.optionMayHaveGunicorn(o, filepath.Dir(path), seen) {
				return true
			}
		}
	}
	return false
}

func (r *Reads) optionMayHaveGunicorn(o pipOption, dir string, seen *[]string) bool {
	switch o.name {
	case "--requirement":
		path := pathOf(o.value, dir)
		return path == "" || r.listMayHaveGunicorn(path, seen)
	case "--constraint":
		path := pathOf(o.value, dir) // a lock of uv has what other packages bring along too
		return filepath.Base(path) == "uv.lock" && r.listMayHaveGunicorn(path, seen)
	case "--editable", "--group":
		return true
	}
	return false
}

// mayBeGunicorn says whether a requirement is gunicorn, or cannot be told not to be.
func mayBeGunicorn(requirement, source string) bool {
	if l, ok := readLocal(requirement, source, false); ok {
		return !strings.HasSuffix(l.path, ".whl") || IsGunicorn(filepath.Base(l.path))
	}
	name := requirementName.FindString(requirement)
	before, _, _ := strings.Cut(requirement, ";")
	return name == "" || IsGunicorn(name) || variable.MatchString(requirement) || strings.Contains(before, "@") || strings.Contains(before, "://")
}
