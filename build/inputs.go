package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// tree is what an application folder holds: each path relative to it, with
// what stands for its contents.
type tree map[string]string

// Left out of releases and of their identity: what Python and git make beside
// the source, and what an editor has open.
func noise(name string, dir bool) bool {
	if dir {
		return name == "__pycache__" || name == ".git" || name == ".hg" || name == ".svn" || name == "node_modules"
	}
	return strings.HasSuffix(name, ".pyc") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") || strings.HasPrefix(name, ".#")
}

// walk calls visit for everything of an application folder that goes into a
// release, with the path relative to it, parents first. A link that leads out
// of the folder and anything that is no file, folder or link is an error.
func walk(ctx context.Context, app string, visit func(rel string, d fs.DirEntry) error) error {
	return filepath.WalkDir(app, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(app, path)
		if err != nil || rel == "." {
			return err
		}
		if noise(d.Name(), d.IsDir()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		switch d.Type() {
		case 0, fs.ModeDir:
		case fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if filepath.IsAbs(to) || !filepath.IsLocal(filepath.Join(filepath.Dir(rel), to)) {
				return fmt.Errorf("%s is a link to %s, out of the application: a release must hold all it needs; copy it in", path, to)
			}
		default:
			return fmt.Errorf("%s is neither file nor folder (%v): it cannot be part of a release", path, d.Type())
		}
		return visit(rel, d)
	})
}

// entryHash stands for one file or link of the tree, its mode included as far
// as a release keeps it.
func entryHash(path string, d fs.DirEntry) (string, error) {
	if d.Type() == fs.ModeSymlink {
		to, err := os.Readlink(path)
		return "link " + to, err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return contentHash(f, nil)
}

// contentHash reads a file to its end, into w too where that is given.
func contentHash(f *os.File, w io.Writer) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	to := io.Writer(h)
	if w != nil {
		to = io.MultiWriter(h, w)
	}
	if _, err := io.Copy(to, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x %v", h.Sum(nil), info.Mode()&0o111 != 0), nil
}

// readTree reads the application of b as it is now.
func readTree(ctx context.Context, b config.Build) (tree, error) {
	t := tree{}
	err := walk(ctx, b.AppPath(), func(rel string, d fs.DirEntry) error {
		if d.IsDir() {
			return nil
		}
		h, err := entryHash(filepath.Join(b.AppPath(), rel), d)
		t[rel] = h
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	return t, nil
}

// identity is the hash of everything that goes into a release. Settings of
// other builds, deploy_*.py beside our own, do not count unless our own names
// them: an edit of one build is no reason to rebuild the others.
func identity(b config.Build, t tree, requirements, venv string) (string, error) {
	own, err := os.ReadFile(b.SettingsFile())
	if err != nil {
		return "", fmt.Errorf("read settings: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "release 1\n%s\n%s\n%s\n", config.BuildKey(b), venv, requirements)
	for _, rel := range sorted(t) {
		dir, file := filepath.Split(rel)
		module, isSettings := strings.CutSuffix(file, ".py")
		if filepath.Clean(dir) == filepath.Clean(b.SettingsDir) && isSettings && strings.HasPrefix(file, "deploy_") &&
			file != filepath.Base(b.SettingsFile()) && !strings.Contains(string(own), module) {
			continue
		}
		fmt.Fprintf(h, "%q %s\n", rel, t[rel])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sorted(t tree) []string {
	all := make([]string, 0, len(t))
	for rel := range t {
		all = append(all, rel)
	}
	slices.Sort(all)
	return all
}

// RequirementFiles answers the requirements file of b and every file that it
// includes (-r, -c), as far as they can be read. An included file may be
// anywhere.
func RequirementFiles(b config.Build) []string {
	var all []string
	includes(b.RequirementsFile(), &all)
	return all
}

func includes(path string, all *[]string) {
	if slices.Contains(*all, path) {
		return
	}
	*all = append(*all, path)
	text, err := os.ReadFile(path)
	if err != nil {
		return // whoever reads it next says so
	}
	for line := range strings.Lines(string(text)) {
		if file := included(line); file != "" {
			if !filepath.IsAbs(file) {
				file = filepath.Join(filepath.Dir(path), file)
			}
			includes(file, all)
		}
	}
}

// included answers the file that a line of a requirements file includes, "" for
// none (pip, requirements file format).
func included(line string) string {
	line = strings.TrimSpace(line)
	for _, flag := range []string{"--requirement", "--constraint", "-r", "-c"} {
		rest, ok := strings.CutPrefix(line, flag)
		if !ok {
			continue
		}
		rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "="))
		file, _, _ := strings.Cut(rest, " #")
		if file = strings.TrimSpace(file); file != "" && !strings.Contains(file, "://") {
			return file
		}
		return ""
	}
	return ""
}

// readRequirements answers what stands for the requirements of b, with all
// that they include.
func readRequirements(b config.Build) (string, error) {
	h := sha256.New()
	for _, path := range RequirementFiles(b) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read requirements: %w", err)
		}
		fmt.Fprintf(h, "%d\n%s\n", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
