package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// tree is what an application folder holds: each path relative to it, with what stands for its
// contents.
type tree map[string]string

// noise is left out of releases and of their identity: what Python, git and npm make next to the
// source, and what an editor has open. A database counts: whoever keeps one in the source wants it
// in the release.
func noise(name string, dir bool) bool {
	if dir {
		return name == "__pycache__" || name == ".git" || name == ".hg" || name == ".svn" || name == "node_modules"
	}
	return strings.HasSuffix(name, ".pyc") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") || strings.HasPrefix(name, ".#")
}

// walk calls visit for everything of an application folder that goes into a release, with the path
// relative to it, parents first. A link that leads out of the folder and anything that is no file,
// folder or link is an error. app itself has no links in it: see resolved.
func walk(ctx context.Context, app string, visit func(rel string, d fs.DirEntry) error) error {
	return filepath.WalkDir(app, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
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
			if d, err = followed(app, rel, d); err != nil {
				return err
			}
		default:
			return notRegular(path, d.Type())
		}
		return visit(rel, d)
	})
}

// resolved is the application's folder without links on the way: one that is swapped while it is
// read does not mix two sources.
func resolved(b config.Build) (string, error) {
	app, err := filepath.EvalSymlinks(b.AppPath())
	if err != nil {
		return "", fmt.Errorf("find the application: %w", err)
	}
	return app, nil
}

// followed returns what goes into a release for a link: the link, where it leads to something
// inside the application, or to nothing. A link to a file elsewhere, by its text or by what other
// links make of it, is that file; a link to a folder elsewhere, or to what cannot be read as a
// file, is an error.
func followed(app, rel string, link fs.DirEntry) (fs.DirEntry, error) {
	path := filepath.Join(app, rel)
	to, err := os.Readlink(path)
	if err != nil {
		return nil, err
	}
	out := filepath.IsAbs(to) || !filepath.IsLocal(filepath.Join(filepath.Dir(rel), to))
	target, err := filepath.EvalSymlinks(path)
	if err == nil && !out {
		inside, rerr := filepath.Rel(app, target)
		out = rerr != nil || !filepath.IsLocal(inside)
	}
	if errors.Is(err, fs.ErrNotExist) && !out {
		return link, nil
	}
	if err != nil {
		return nil, fmt.Errorf("follow link %s: %w", path, err)
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		return nil, fmt.Errorf("follow link %s: %w", path, err)
	case info.Mode().IsRegular() && out:
		return fs.FileInfoToDirEntry(info), nil
	case info.IsDir() && out:
		return nil, fmt.Errorf("%s is a link to the folder %s, out of the application: a release must hold all it needs; copy it in", path, to)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, notRegular(path, info.Mode().Type())
	}
	return link, nil
}

func notRegular(path string, mode fs.FileMode) error {
	what := map[fs.FileMode]string{
		fs.ModeNamedPipe: "a named pipe", fs.ModeSocket: "a socket",
		fs.ModeDevice: "a device", fs.ModeDevice | fs.ModeCharDevice: "a device",
	}[mode]
	if what == "" {
		what = mode.String()
	}
	return fmt.Errorf("%s is %s, neither file nor folder: it cannot be part of a release; move it out of the application", path, what)
}

// entryHash stands for one file or link of the tree, its mode included as far as a release keeps
// it.
func entryHash(app *os.Root, rel string, d fs.DirEntry) (string, error) {
	if d.Type() == fs.ModeSymlink {
		to, err := app.Readlink(rel)
		return "link " + to, err
	}
	f, err := openRegular(within(app), rel)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return contentHash(f, nil)
}

// opener is os.OpenFile, or one that is more careful.
type opener func(path string, flag int, mode fs.FileMode) (*os.File, error)

// within opens what is inside a folder, whatever is exchanged meanwhile: we may read more than who
// wrote the source may, and a release shows it to whom it runs as. So a link out of it is followed
// only where it is the file itself, to a file that everybody may read, or that the link's owner
// owns.
func within(dir *os.Root) opener {
	return func(rel string, flag int, mode fs.FileMode) (*os.File, error) {
		f, err := dir.OpenFile(rel, flag, mode)
		if err == nil {
			return f, nil
		}
		path := filepath.Join(dir.Name(), rel)
		link, lerr := os.Lstat(path)
		if lerr != nil || link.Mode().Type() != fs.ModeSymlink {
			return nil, err
		}
		if f, err = os.OpenFile(path, flag, mode); err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && info.Mode()&0o004 == 0 && ownerOf(info) != ownerOf(link) {
			err = fmt.Errorf("%s is a link to a file that neither everybody may read nor its owner owns: copy it in", path)
		}
		if err != nil {
			f.Close() // only the first error counts
			return nil, err
		}
		return f, nil
	}
}

// openRegular opens a regular file, without hanging where it is a named pipe.
func openRegular(open opener, path string) (*os.File, error) {
	f, err := open(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(f.Name(), info.Mode().Type())
	}
	if err != nil {
		f.Close() // only the first error counts
		return nil, err
	}
	return f, nil
}

// mostText is more than any settings or requirements file holds.
const mostText = 8 << 20

// readText reads such a file, but nothing that has no end.
func readText(open opener, path string) ([]byte, error) {
	f, err := openRegular(open, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostText+1))
	if len(text) > mostText {
		return nil, fmt.Errorf("%s: it is larger than %d MiB", path, mostText>>20)
	}
	return text, err
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
		to = io.MultiWriter(w, h)
	}
	if _, err := io.Copy(to, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x %v", h.Sum(nil), info.Mode()&0o111 != 0), nil
}

// readTree reads the application at app as it is now.
func (c *hashes) readTree(ctx context.Context, app string) (tree, error) {
	if err := c.reads.take(ctx); err != nil {
		return nil, err
	}
	defer c.reads.give()
	root, err := os.OpenRoot(app)
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	defer root.Close()
	t := tree{}
	err = walk(ctx, app, func(rel string, d fs.DirEntry) (err error) {
		if !d.IsDir() {
			t[rel], err = c.entry(root, rel, d)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	c.keep(app, t)
	return t, nil
}

// identity is the hash of everything that goes into a release of the application at app. Settings
// of other builds, deploy_*.py next to our own, do not count unless our settings, or others that
// are shared, name them: an edit of one build is no reason to rebuild the others.
func identity(b config.Build, app string, t tree, requirements, venv string) (string, error) {
	if _, ok := t[filepath.Join(b.SettingsDir, filepath.Base(b.SettingsFile()))]; !ok {
		return "", fmt.Errorf("%s: there is no settings file of this build", b.SettingsFile())
	}
	others, err := otherSettings(b, app, t)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "release 1\n%s\n%s\n%s\n", config.BuildKey(b), venv, requirements)
	for _, rel := range slices.Sorted(maps.Keys(t)) {
		if !slices.Contains(others, rel) {
			fmt.Fprintf(h, "%q %s\n", rel, t[rel])
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// otherSettings returns the settings of other builds that nothing of what counts for b names, nor
// what is named by those that it names.
func otherSettings(b config.Build, app string, t tree) ([]string, error) {
	imported := readSettings(app, b).texts
	var texts []string // of what counts
	for _, text := range imported {
		texts = append(texts, text)
	}
	others := map[string]string{} // by path, their texts
	for rel := range t {
		dir, file := filepath.Split(rel)
		_, counts := imported[rel]
		if counts || filepath.Clean(dir) != filepath.Clean(b.SettingsDir) || filepath.Ext(file) != ".py" {
			continue
		}
		text, err := readText(os.OpenFile, filepath.Join(app, rel))
		switch {
		case strings.HasPrefix(file, "deploy_") && file != filepath.Base(b.SettingsFile()):
			others[rel] = string(text) // one that cannot be read names nothing
		case err != nil:
			return nil, fmt.Errorf("read settings: %w", err)
		default:
			texts = append(texts, string(text))
		}
	}
	for len(texts) > 0 {
		text := texts[0]
		texts = texts[1:]
		for rel, more := range others {
			if strings.Contains(text, strings.TrimSuffix(filepath.Base(rel), ".py")) {
				texts = append(texts, more)
				delete(others, rel)
			}
		}
	}
	return slices.Collect(maps.Keys(others)), nil
}
