package inputs

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

// Tree is what an application folder holds: each path relative to it, with what stands for its
// contents.
type Tree map[string]string

// Changed returns the files that are not the same in now, an application at app, sorted.
func (t Tree) Changed(app string, now Tree) (all []ChangedFile) {
	for rel, was := range t {
		switch is, ok := now[rel]; {
		case !ok:
			all = append(all, ChangedFile{filepath.Join(app, rel), "was removed"})
		case is != was:
			all = append(all, ChangedFile{filepath.Join(app, rel), ChangedInPlace})
		}
	}
	for rel := range now {
		if _, ok := t[rel]; !ok {
			all = append(all, ChangedFile{filepath.Join(app, rel), "was added"})
		}
	}
	slices.SortFunc(all, func(a, b ChangedFile) int { return strings.Compare(a.Path, b.Path) })
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

// Opener is os.OpenFile, or one that is more careful.
type Opener func(path string, flag int, mode fs.FileMode) (*os.File, error)

// within opens what is inside a folder, whatever is exchanged meanwhile: we may read more than who
// wrote the source may, and a release shows it to whom it runs as. So a link out of it is followed
// only where it is the file itself, to a file that everybody may read, or that the link's owner
// owns.
func within(dir *os.Root) Opener {
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
		if f, err = Anywhere(path, flag, mode); err != nil { // which opens no device, not even for a look
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && info.Mode()&0o004 == 0 && OwnerOf(info) != OwnerOf(link) {
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
func openRegular(open Opener, path string) (*os.File, error) {
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

// MostText is more than any settings or requirements file holds.
const MostText = 8 << 20

// Anywhere opens a file that may be anywhere, whatever it is.
func Anywhere(path string, _ int, _ fs.FileMode) (*os.File, error) { return untrusted.Open(path) }

// ReadText reads such a file, but nothing that is larger.
func ReadText(open Opener, path string) ([]byte, error) {
	f, err := openRegular(open, path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return untrusted.Read(f, MostText)
}

// ReadTree reads the application at app as it is now, as far as r may read it. shared are folders to
// which links may lead.
func (c *Hashes) ReadTree(ctx context.Context, app string, r Reader, shared ...string) (Tree, error) {
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
	t := Tree{}
	err = walk(ctx, app, func(rel string, d fs.DirEntry) (err error) {
		closed, err := r.closed(app, rel, d)
		switch {
		case err != nil:
			return err
		case closed:
			t[rel] = ClosedEntry
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

// Identity is the hash of everything that goes into a release of the application at app. Settings
// of other builds, deploy_*.py next to our own, do not count unless our settings, or others that
// are shared, name them: an edit of one build is no reason to rebuild the others.
func Identity(b config.Build, app string, t Tree, requirements, venv string) (string, error) {
	if _, ok := t[filepath.Join(settingsFolder(app, b), filepath.Base(b.SettingsFile()))]; !ok {
		return "", fmt.Errorf("%s: there is no settings file of this build", b.SettingsFile())
	}
	others, err := OtherSettings(b, app, t)
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
	real := ResolvedAsFar(filepath.Join(app, b.SettingsDir))
	if rel, err := filepath.Rel(ResolvedAsFar(app), real); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return filepath.Clean(b.SettingsDir)
}

// leads is where the link at rel leads, "" where it is none.
func (t Tree) leads(rel string) string {
	to, _ := strings.CutPrefix(t[rel], "link ")
	if to == t[rel] {
		return ""
	}
	return " " + to
}

// OtherSettings returns the settings of other builds that nothing of what counts for b names, nor
// What is named by those that it names.
func OtherSettings(b config.Build, app string, t Tree) ([]string, error) {
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
		if counts || t[rel] == ClosedEntry || filepath.Clean(dir) != folder || filepath.Ext(file) != ".py" {
			continue
		}
		text, err := all.read(Anywhere, filepath.Join(app, rel))
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

// ChangedFile is a file that is not what it was, and what became of it.
type ChangedFile struct{ Path, What string }

// Keys are what the file is remembered by: its path, and the folder, with a slash, where files may
// come and go under ever new names.
func (f ChangedFile) Keys() []string {
	if f.What == ChangedInPlace {
		return []string{f.Path}
	}
	return []string{f.Path, filepath.Dir(f.Path) + "/"}
}

const ChangedInPlace = "was changed"

// MarshalJSON keeps names and links that are no UTF-8, which JSON has no place for: in hexadecimal behind a
// zero byte, which neither of them has.
func (t Tree) MarshalJSON() ([]byte, error) {
	all := make(map[string]string, len(t))
	for rel, hash := range t {
		all[asText(rel)] = asText(hash)
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Tree) UnmarshalJSON(text []byte) error {
	var all map[string]string
	if err := json.Unmarshal(text, &all); err != nil || all == nil {
		return err
	}
	*t = make(Tree, len(all))
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
