package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// tree is what an application folder holds: each path relative to it, with what stands for its
// contents.
type tree map[string]string

// changed returns the files that are not the same in now, an application at app, sorted.
func (t tree) changed(app string, now tree) (all []changedFile) {
	for rel, was := range t {
		switch is, ok := now[rel]; {
		case !ok:
			all = append(all, changedFile{filepath.Join(app, rel), "was removed"})
		case is != was:
			all = append(all, changedFile{filepath.Join(app, rel), changedInPlace})
		}
	}
	for rel := range now {
		if _, ok := t[rel]; !ok {
			all = append(all, changedFile{filepath.Join(app, rel), "was added"})
		}
	}
	slices.SortFunc(all, func(a, b changedFile) int { return strings.Compare(a.path, b.path) })
	return all
}

// entryHash stands for one file or link of the tree, its mode included as far as a release keeps
// it.
func entryHash(ctx context.Context, app *os.Root, rel string, d fs.DirEntry) (string, error) {
	if d.Type() == fs.ModeSymlink {
		to, err := app.Readlink(rel)
		return "link " + to, err
	}
	f, err := openRegular(within(app), rel)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return contentHash(ctx, f, nil)
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
		if f, err = anywhere(path, flag, mode); err != nil { // which opens no device, not even for a look
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

// anywhere opens a file that may be anywhere, whatever it is.
func anywhere(path string, _ int, _ fs.FileMode) (*os.File, error) { return untrusted.Open(path) }

// readText reads such a file, but nothing that is larger.
func readText(open opener, path string) ([]byte, error) {
	f, err := openRegular(open, path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return untrusted.Read(f, mostText)
}

// readTree reads the application at app as it is now, as far as r may read it. shared are folders to
// which links may lead.
func (c *hashes) readTree(ctx context.Context, app string, r reader, shared ...string) (tree, error) {
	done, err := c.mayRead(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	root, err := os.OpenRoot(app)
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	defer root.Close()
	t := tree{}
	err = walk(ctx, app, func(rel string, d fs.DirEntry) (err error) {
		closed, err := r.closed(app, rel, d)
		switch {
		case err != nil:
			return err
		case closed:
			t[rel] = closedEntry
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !d.IsDir():
			t[rel], err = c.entry(ctx, root, rel, d)
		}
		return err
	}, nil, shared...)
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
	if _, ok := t[filepath.Join(settingsFolder(app, b), filepath.Base(b.SettingsFile()))]; !ok {
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

// settingsFolder is settings_dir in the application at app without the links on the way, by which its
// files stand in a tree.
func settingsFolder(app string, b config.Build) string {
	real := resolvedAsFar(filepath.Join(app, b.SettingsDir))
	if rel, err := filepath.Rel(resolvedAsFar(app), real); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return filepath.Clean(b.SettingsDir)
}

// leads is where the link at rel leads, "" where it is none.
func (t tree) leads(rel string) string {
	to, _ := strings.CutPrefix(t[rel], "link ")
	if to == t[rel] {
		return ""
	}
	return " " + to
}

// otherSettings returns the settings of other builds that nothing of what counts for b names, nor
// what is named by those that it names.
func otherSettings(b config.Build, app string, t tree) ([]string, error) {
	imported := readSettings(app, b).texts
	var texts []string // of what counts
	for rel, text := range imported {
		texts = append(texts, text, t.leads(rel))
	}
	others := map[string]string{} // by path, their texts
	all, folder := settingsBudget(), settingsFolder(app, b)
	for rel := range t {
		dir, file := filepath.Split(rel)
		_, counts := imported[rel]
		if counts || t[rel] == closedEntry || filepath.Clean(dir) != folder || filepath.Ext(file) != ".py" {
			continue
		}
		text, err := all.read(anywhere, filepath.Join(app, rel))
		switch {
		case strings.HasPrefix(file, "deploy_") && file != filepath.Base(b.SettingsFile()):
			others[rel] = string(text) + t.leads(rel) // one that cannot be read names nothing
		case err != nil:
			return nil, fmt.Errorf("read settings: %w", err)
		default:
			texts = append(texts, string(text), t.leads(rel))
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

// changedFile is a file that is not what it was, and what became of it.
type changedFile struct{ path, what string }

// keys are what the file is remembered by: its path, and the folder, with a slash, where files may
// come and go under ever new names.
func (f changedFile) keys() []string {
	if f.what == changedInPlace {
		return []string{f.path}
	}
	return []string{f.path, filepath.Dir(f.path) + "/"}
}

const changedInPlace = "was changed"

// MarshalJSON keeps names and links that are no UTF-8, which JSON has no place for: in hexadecimal behind a
// zero byte, which neither of them has.
func (t tree) MarshalJSON() ([]byte, error) {
	all := make(map[string]string, len(t))
	for rel, hash := range t {
		all[asText(rel)] = asText(hash)
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *tree) UnmarshalJSON(text []byte) error {
	var all map[string]string
	if err := json.Unmarshal(text, &all); err != nil || all == nil {
		return err
	}
	*t = make(tree, len(all))
	for rel, hash := range all {
		(*t)[fromText(rel)] = fromText(hash)
	}
	return nil
}

func asText(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return "\x00" + hex.EncodeToString([]byte(name))
}

func fromText(text string) string {
	if code, ok := strings.CutPrefix(text, "\x00"); ok {
		if name, err := hex.DecodeString(code); err == nil {
			return string(name)
		}
	}
	return text
}
