package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// RequirementFiles returns the requirements file of b and every file that it includes (-r, -c), as
// far as they can be read. An included file may be anywhere.
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
	text, err := readText(os.OpenFile, path)
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

// included returns the file that a line of a requirements file includes, "" for none (pip,
// requirements file format).
func included(line string) string {
	file := option(line, "--requirement", "--constraint", "-r", "-c")
	if strings.Contains(file, "://") {
		return ""
	}
	return file
}

// option returns the value of an option of a requirements file, "" where the line is another.
func option(line string, flags ...string) string {
	line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
	for _, flag := range flags {
		rest, ok := strings.CutPrefix(line, flag)
		if !ok || strings.HasPrefix(flag, "--") && rest != "" && !strings.ContainsAny(rest[:1], " \t=") {
			continue
		}
		return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "="))
	}
	return ""
}

// readRequirements returns what stands for the requirements of b, with all that they include and
// what they name of the machine's own files. Of those only what can be read counts: pip says what
// is wrong with the rest.
func readRequirements(ctx context.Context, b config.Build) (string, error) {
	h := sha256.New()
	for _, path := range RequirementFiles(b) {
		text, err := readText(os.OpenFile, path)
		if err != nil {
			return "", fmt.Errorf("read requirements: %w", err)
		}
		fmt.Fprintf(h, "%d\n%s\n", len(text), text)
		for line := range strings.Lines(string(text)) {
			path, editable := localPath(line, b.Source)
			if path == "" {
				continue
			}
			local, err := readLocal(ctx, path, editable)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s\n", local)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// localPath returns the file or folder that a line asks to be installed from, "" for none. pip
// resolves it against its working folder, which is source.
func localPath(line, source string) (path string, editable bool) {
	line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
	line, _, _ = strings.Cut(line, " ;")
	if _, url, ok := strings.Cut(line, "file://"); ok {
		path = "/" + strings.TrimLeft(strings.TrimPrefix(url, "localhost"), "/")
	} else if path = option(line, "--editable", "-e"); path != "" {
		editable = true
	} else if path = line; !strings.HasPrefix(path, ".") && !strings.HasPrefix(path, "/") {
		return "", false
	}
	path, _, _ = strings.Cut(path, "[") // extras
	path, _, _ = strings.Cut(path, "#")
	if strings.Contains(path, "://") || strings.TrimSpace(path) == "" {
		return "", false
	}
	if path = strings.TrimSpace(path); !filepath.IsAbs(path) {
		path = filepath.Join(source, path)
	}
	return path, editable
}

// readLocal stands for a local project. Of an editable one only its metadata is installed, the rest
// is read from where it is.
func readLocal(ctx context.Context, path string, editable bool) (string, error) {
	if editable {
		var all strings.Builder
		for _, name := range []string{"pyproject.toml", "setup.cfg", "setup.py"} {
			text, err := readText(os.OpenFile, filepath.Join(path, name))
			fmt.Fprintf(&all, "%s %x %v\n", name, sha256.Sum256(text), err == nil)
		}
		return all.String(), nil
	}
	var all strings.Builder
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || noise(d.Name(), d.IsDir()) || !d.Type().IsRegular() {
			if err == nil && d.IsDir() && noise(d.Name(), true) {
				return filepath.SkipDir
			}
			return nil
		}
		f, err := openRegular(os.OpenFile, path)
		if err != nil {
			return nil
		}
		defer f.Close()
		if hash, err := contentHash(f, nil); err == nil {
			fmt.Fprintf(&all, "%q %s\n", path, hash)
		}
		return nil
	})
	return all.String(), err
}
