package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// ingredients are what a release was made of beside the files of its application, as far as is needed
// to say later what has changed. Of what may hold a secret there is a hash alone.
type ingredients struct {
	Keys        map[string]string // values of the keys that cost a rebuild, as people are shown them
	KeyHash     string            // of the values themselves
	Interpreter string
	Version     string
	Group       int
	Packages    string            `json:",omitempty"` // hash of what the interpreter has itself, where that counts
	Reads       map[string]string `json:",omitempty"` // by path: what the installation reads
	Variables   map[string]string `json:",omitempty"` // by name: those that it reads
	Without     map[string]string `json:",omitempty"` // files of the application that count and are not in the release
}

// shownHash is how much of a hash is kept where it only tells one content from another.
const shownHash = 16

func short(hash string) string { return hash[:min(len(hash), shownHash)] }

func shortSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return short(hex.EncodeToString(sum[:]))
}

// Secrets is what takes secrets out of the values of a file.
func Secrets() config.Hider {
	return config.Hider{
		Text: func(text string) string { return conceal(text, nil) },
		Secret: func(name, value string) bool {
			return secretNames.MatchString(name) || secretWords.MatchString(name) || conceal(value, nil) != value || looksRandom(value)
		},
	}
}

// ingredients returns those of the attempt.
func (j *job) ingredients() *ingredients {
	in := &ingredients{
		Keys: config.BuildValues(j.b, Secrets()), KeyHash: config.BuildKey(j.b),
		Interpreter: j.python.Path, Version: j.python.Version, Group: j.as.GID,
		Reads: map[string]string{}, Variables: map[string]string{}, Without: j.without,
	}
	if j.b.SystemSitePackages {
		in.Packages = shortSum(strings.Join(j.python.installed(), "\n"))
	}
	for _, f := range j.reads.Files {
		if f.Err == nil {
			in.Reads[j.inputName(f.Path)] = shortSum(string(f.Raw))
		}
	}
	for path, content := range j.reads.Sums {
		in.Reads[j.inputName(path)] = short(content)
	}
	for _, entry := range j.reads.Variables {
		name, value, _ := strings.Cut(entry, "=")
		in.Variables[name] = shortSum(value)
	}
	return in
}

// inputName is what people call an input: its path in the source, where it lies there.
func (j *job) inputName(path string) string {
	if rel, err := filepath.Rel(j.b.Source, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// mostNamed is how many changes are named; the others are counted.
const mostNamed = 5

// differences says what has changed since the newest release, in a few words each: "API/views.py
// changed". It returns nil where nothing has, and somebody asks for another one.
func (j *job) differences() []string {
	if j.before == nil {
		return []string{"there is no release yet"}
	}
	m := readManifest(j.before.Dir)
	all, files := j.otherDifferences(m.Made), j.fileDifferences(m)
	if j.damage != "" {
		all = append(all, j.damage)
	}
	more := 0
	if room := max(mostNamed-len(all), 1); len(files) > room {
		more = len(files) - room
		files = files[:room]
	}
	all = append(all, files...)
	switch {
	case more == 1:
		all = append(all, "and 1 more file")
	case more > 1:
		all = append(all, fmt.Sprintf("and %d more files", more))
	case len(all) > 0 || j.Force || j.Fresh:
	case m.Made == nil:
		all = []string{"release " + j.before.ID + ", made by an earlier version of this program, does not say what it was made of"}
	case j.before.Hash == j.hash:
		all = []string{"files of release " + j.before.ID + " are gone"}
	default:
		all = []string{"something that cannot be named"}
	}
	return all
}

// otherDifferences are those of anything but the application's files.
func (j *job) otherDifferences(was *ingredients) (all []string) {
	if was == nil {
		return nil
	}
	is := j.ingredients()
	standard := config.DefaultBuildValues(Secrets())
	for _, key := range slices.Sorted(maps.Keys(is.Keys)) {
		before, known := was.Keys[key]
		if !known {
			before = standard[key] // an earlier version had no such key
		}
		if before != is.Keys[key] {
			all = append(all, fmt.Sprintf("%s %s → %s", key, before, is.Keys[key]))
		}
	}
	if len(all) == 0 && was.KeyHash != is.KeyHash && len(was.Keys) == len(is.Keys) {
		all = append(all, "a key changed in what is not shown of it")
	}
	switch before, now := versionOf(was.Version), versionOf(is.Version); {
	case before != now:
		all = append(all, fmt.Sprintf("Python %s → %s", before, now))
	case was.Version != is.Version:
		all = append(all, "Python "+now+" was built anew")
	case was.Interpreter != is.Interpreter:
		all = append(all, fmt.Sprintf("interpreter %s → %s", was.Interpreter, is.Interpreter))
	}
	if was.Group != is.Group {
		all = append(all, "the group of its files changed")
	}
	if was.Packages != is.Packages && was.Packages != "" && is.Packages != "" {
		all = append(all, "packages of the interpreter changed")
	}
	all = append(all, changes(was.Reads, is.Reads, "")...)
	return append(all, changes(was.Variables, is.Variables, "variable ")...)
}

// versionOf is the number that a Python's version begins with.
func versionOf(version string) string {
	number, _, _ := strings.Cut(version, " ")
	return shownText(number)
}

// changes says how two sets of inputs differ.
func changes(was, is map[string]string, kind string) (all []string) {
	names := map[string]string{}
	for name, hash := range is {
		switch before, ok := was[name]; {
		case !ok:
			names[name] = "added"
		case before != hash:
			names[name] = "changed"
		}
	}
	for name := range was {
		if _, ok := is[name]; !ok {
			names[name] = "removed"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, kind+shownText(name)+" "+names[name])
	}
	return all
}

// fileDifferences are those of the application's files.
func (j *job) fileDifferences(m manifest) []string {
	if m.Files == nil {
		return nil
	}
	app, err := inputs.Resolved(j.b)
	if err != nil {
		return nil // an attempt says so
	}
	others, err := inputs.OtherSettings(j.b, app, j.source)
	if err != nil {
		return nil
	}
	was, is := map[string]string{}, map[string]string{}
	for rel, hash := range m.Files {
		was[filepath.Join(j.b.AppDir, rel)] = hash
	}
	for rel, hash := range j.source {
		if slices.Contains(others, rel) {
			continue
		}
		name := filepath.Join(j.b.AppDir, rel)
		is[name] = hash
		if m.Made == nil {
			continue
		}
		if before, ok := m.Made.Without[rel]; ok {
			was[name] = before
			is[name] = short(hash)
		}
	}
	return changes(was, is, "")
}

// Difference is how the inputs of a build differ from those of its newest release.
type Difference struct {
	Release string   // that is made of the inputs as they are; "": none is, so one is to be made
	Because []string // what has changed
}

// Why says whether an attempt would make a release, and why. It changes nothing. The error says why
// an attempt would make none.
func (m *Maker) Why(ctx context.Context, r Request) (Difference, error) {
	j, err := m.prepareIn(ctx, r)
	if err != nil {
		return Difference{}, err
	}
	if rel, ok := j.same(); ok {
		return Difference{Release: rel.ID}, nil
	}
	if err := j.failedFinally(); err != nil {
		return Difference{}, err
	}
	return Difference{Because: j.differences()}, nil
}
