package inputs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Reads is all that an installation reads, but for what an index or another server holds: what an
// environment is made of.
type Reads struct {
	b         config.Build
	env       []string          // of the step
	Files     []TextFile        // requirements, constraints and settings of pip, in the order in which they are read
	Variables []string          // NAME=VALUE: settings of pip and of uv, and those that the files expand
	Others    []string          // archives, certificates, lists of links: what counts by its content alone
	Projects  []string          // folders of local projects
	Folders   []string          // of --find-links
	Sums      map[string]string // of what they and others hold, once hash has returned
	Generated bool              // some of the files say in requirements what another kind of file says
	Handed    []string          // pairs: what the installer was handed, and what that stands for
	refused   error             // the first thing that cannot be installed without touching the source
	budget    budget            // of files
}

// TextFile is a file that was read, or could not be.
type TextFile struct {
	Path     string
	Raw      []byte
	Err      error
	lines    []requirementLine // of requirements and constraints
	Settings bool              // of pip: it may be missing
}

// InstallReads finds out what an installation for b, whose data is in the folder data, reads. env is
// the environment of its entry.
func InstallReads(b config.Build, data string, env []string) *Reads {
	r := &Reads{b: b, budget: requirementsBudget(), env: slices.Concat(env, StandingEnv(b, data))}
	r.include(b.RequirementsFile(), true)
	args := readArguments(b.PipArgs)
	for _, o := range args.options {
		r.option(o, b.Source, true)
	}
	for _, word := range args.words {
		r.local(word, false, true)
	}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		setting, isPip := strings.CutPrefix(name, "PIP_")
		if !isPip {
			if setting, isPip = strings.CutPrefix(name, "UV_"); !isPip {
				continue
			}
		}
		r.Variables = append(r.Variables, entry)
		r.setting(setting, value)
	}
	for _, path := range pipSettings(env) {
		r.settingsFile(path)
	}
	slices.Sort(r.Variables)
	r.Variables = slices.Compact(r.Variables)
	return r
}

// StandingEnv is what every step of b has beside the environment of its entry, whatever the attempt.
func StandingEnv(b config.Build, data string) []string {
	return []string{
		"PYTHONUNBUFFERED=1",
		"PYTHONDONTWRITEBYTECODE=1", // compiling is a step of its own
		"DJANGO_SETTINGS_MODULE=" + b.SettingsModule(),
		"MEDCTRL_BUILD=" + b.Name,
		"MEDCTRL_DATA=" + data,
	}
}

// Paths returns the files that are read as text, where the settings of pip are left out that are
// not there.
func (r *Reads) Paths() []string {
	var all []string
	for _, f := range r.Files {
		if !f.Settings || f.Err == nil {
			all = append(all, f.Path)
		}
	}
	for _, f := range r.Files {
		if lock := lockOf(f.Path); lock != "" && !r.known(lock) {
			all = append(all, lock) // it may come
		}
	}
	return append(all, r.Others...)
}

func (r *Reads) known(path string) bool {
	return slices.ContainsFunc(r.Files, func(f TextFile) bool { return f.Path == path })
}

// include reads a file of requirements or constraints, and what it includes. ours says that we hand
// it to the installer, so that we may hand over another one in its place.
func (r *Reads) include(path string, ours bool) {
	if errors.Is(r.refused, errSpent) || r.known(path) {
		return
	}
	at := len(r.Files)
	raw, err := r.budget.read(Anywhere, path)
	if at >= r.budget.mostFiles { // those that are not there count too
		err = r.budget.over(path)
	}
	if errors.Is(err, errSpent) {
		r.refused = fmt.Errorf("read requirements: %w", err)
		return
	}
	if err == nil {
		if text, ok, gerr := generated(path, raw); ok {
			raw, err, r.Generated = []byte(text), gerr, true
		}
	}
	r.Files = append(r.Files, TextFile{Path: path, Raw: raw, Err: err, lines: requirementLines(decode(raw))})
	for _, line := range r.Files[at].lines {
		for _, found := range variable.FindAllStringSubmatch(line.text, -1) {
			if value := EnvValue(r.env, found[1]); value != "" {
				r.Variables = append(r.Variables, found[1]+"="+value)
			}
		}
		l := readLine(expand(line.text, r.env))
		switch requirement, constraint := l.value("--requirement"), l.value("--constraint"); {
		case len(l.words) > 0:
			r.local(l.words[0], false, ours)
		case l.value("--editable") != "":
			r.local(l.value("--editable"), true, ours)
		case requirement != "":
			r.option(pipOption{"--requirement", requirement}, filepath.Dir(path), ours)
		case constraint != "":
			r.option(pipOption{"--constraint", constraint}, filepath.Dir(path), ours)
		default:
			for _, o := range l.options {
				r.option(o, filepath.Dir(path), ours)
			}
		}
	}
}

// option takes what an option names. Relative paths begin at dir.
func (r *Reads) option(o pipOption, dir string, ours bool) {
	switch o.name {
	case "--requirement", "--constraint", "--build-constraint":
		// What depends on the attempt, ${VIRTUAL_ENV}, or is not set, is for pip.
		if path := pathOf(o.value, dir); path != "" && !variable.MatchString(path) {
			r.include(path, ours)
		}
	case "--editable":
		r.local(o.value, true, ours)
	case "--cert", "--client-cert", "--find-links":
		r.other(o.value, dir)
	case "--group": // [PATH:]GROUP, pip 25.1
		path, _, named := strings.Cut(o.value, ":")
		if !named {
			path = "pyproject.toml"
		}
		r.other(path, r.b.Source)
	}
}

// setting takes what a setting of pip names, from the environment or a file. Its values are lists,
// split at white space (pip, user guide, "Configuration").
func (r *Reads) setting(name, value string) {
	name = "--" + strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if name == "--override" { // of uv
		name = "--constraint"
	}
	for word := range strings.FieldsSeq(value) {
		r.option(pipOption{name, word}, r.b.Source, false)
	}
}

// other counts a file by its content, where it is one.
func (r *Reads) other(name, dir string) {
	path := pathOf(name, dir)
	if r.full() {
		return
	}
	if info, err := os.Stat(path); path != "" && err == nil && info.IsDir() {
		r.Folders = append(r.Folders, path)
	}
	if info, err := os.Stat(path); path != "" && err == nil && info.Mode().IsRegular() && !slices.Contains(r.Others, path) {
		r.Others = append(r.Others, path)
	}
}

// full says that more local files and folders are named than are looked at.
func (r *Reads) full() bool {
	full := len(r.Others)+len(r.Projects) >= r.budget.mostFiles
	if full && r.refused == nil {
		r.refused = fmt.Errorf("read requirements: %w: they name more than %d local files and folders", errSpent, r.budget.mostFiles)
	}
	return full
}

// pathOf returns the path that a name in dir stands for, "" for one on another machine.
func pathOf(name, dir string) string {
	if path, ok := fileURL(name); ok {
		name = path
	} else if strings.Contains(name, "://") || name == "" {
		return ""
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	return filepath.Clean(name)
}

// fileURL returns the path of an address with the scheme file.
func fileURL(text string) (path string, ok bool) {
	if len(text) < len("file:") || !strings.EqualFold(text[:len("file:")], "file:") {
		return "", false
	}
	path, _, _ = strings.Cut(text[len("file:"):], "#")
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		path = strings.TrimPrefix(rest, "localhost")
	}
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	return path, path != ""
}

// pipSettings returns where pip looks for its settings (user guide, "Configuration"), the file of
// the environment itself apart, which is new.
func pipSettings(env []string) []string {
	home, own, dirs := EnvValue(env, "HOME"), EnvValue(env, "XDG_CONFIG_HOME"), EnvValue(env, "XDG_CONFIG_DIRS")
	if own == "" {
		own = filepath.Join(home, ".config")
	}
	if dirs == "" {
		dirs = "/etc/xdg"
	}
	var all []string
	for _, dir := range filepath.SplitList(dirs) {
		all = append(all, filepath.Join(dir, "pip/pip.conf"))
	}
	all = append(all, "/etc/pip.conf", filepath.Join(home, ".pip/pip.conf"), filepath.Join(own, "pip/pip.conf"))
	if path := EnvValue(env, "PIP_CONFIG_FILE"); path != "" && path != os.DevNull {
		all = append(all, path)
	}
	return slices.DeleteFunc(all, func(path string) bool { return !filepath.IsAbs(path) })
}

var settingLine = regexp.MustCompile(`^([\w-]+)\s*[:=]\s*(.*)$`) // Python, configparser

// settingsFile reads a file of settings for pip.
func (r *Reads) settingsFile(path string) {
	if r.known(path) {
		return
	}
	raw, err := ReadText(Anywhere, path)
	r.Files = append(r.Files, TextFile{Path: path, Raw: raw, Err: err, Settings: true})
	name := ""
	for line := range strings.Lines(string(raw)) {
		if found := settingLine.FindStringSubmatch(strings.TrimRight(line, "\r\n")); found != nil {
			name = found[1]
			r.setting(name, found[2])
		} else if name != "" && strings.TrimLeft(line, " \t") != line { // it goes on
			r.setting(name, line)
		} else {
			name = ""
		}
	}
}

// Hash stands for all of it, as far as it can be read: of a requirements file that cannot, the
// error is returned. root, where the releases are, is no part of a project.
func (r *Reads) Hash(ctx context.Context, c *Hashes, root string) (string, error) {
	if r.refused != nil {
		return "", r.refused
	}
	h := sha256.New()
	for _, f := range r.Files {
		switch {
		case f.Settings && f.Err != nil:
			continue // as a rule it is not there
		case f.Err != nil:
			return "", fmt.Errorf("read requirements: %w", f.Err)
		}
		fmt.Fprintf(h, "%d\n%s\n", len(f.Raw), f.Raw)
	}
	for _, entry := range r.Variables {
		fmt.Fprintf(h, "variable %q\n", entry)
	}
	r.Sums = map[string]string{}
	for _, path := range r.Others {
		content, err := otherHash(ctx, path)
		r.Sums[path] = content
		if errors.Is(err, errTooLarge) {
			return "", fmt.Errorf("read what is installed: %w", err)
		}
		fmt.Fprintf(h, "file %q %s %v\n", path, content, err != nil)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
	}
	for _, dir := range r.Projects {
		content, err := c.readProject(ctx, dir, root)
		if err != nil {
			return "", err
		}
		r.Sums[dir] = content.Sum()
		fmt.Fprintf(h, "project %q %s\n", dir, r.Sums[dir])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// requirements returns the files of requirements and constraints.
func (r *Reads) requirements() []string {
	var all []string
	for _, f := range r.Files {
		if !f.Settings {
			all = append(all, f.Path)
		}
	}
	return all
}

// Texts returns what the files hold, with the variables of env in it.
func (r *Reads) Texts(env []string) (all []string) {
	for _, f := range r.Files {
		all = append(all, expand(decode(f.Raw), env))
	}
	return all
}
