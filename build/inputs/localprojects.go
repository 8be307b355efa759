package inputs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// localRequirement is a requirement that names a file or folder of this machine:
// "./libs/demo[extra]; marker" or "demo @ file:///srv/libs/demo".
type localRequirement struct {
	before, after string // what stands around the path
	path          string // absolute
	address       bool   // the path stands as an address
}

var (
	localAddress = regexp.MustCompile(`^((?:[\w.-]+\s*(?:\[[^\]]*\])?\s*@\s*)?)((?i:file):[^\s;#\[]+)(.*)$`)
	extras       = regexp.MustCompile(`^(.+)(\[[^\]]+\])$`)
	archive      = regexp.MustCompile(`(?i)\.(whl|zip|tgz|tbz|txz|tlz|tar(\.(gz|bz2|xz|lz|lzma))?)$`)
)

// readLocal finds the path in a requirement, as pip does (_internal/req/constructors.py): it begins
// at pip's working folder, which is the source.
func readLocal(text, source string, editable bool) (l localRequirement, ok bool) {
	text = strings.TrimSpace(text)
	if found := localAddress.FindStringSubmatch(text); found != nil {
		return localRequirement{found[1], found[3], pathOf(found[2], source), true}, true
	}
	if strings.Contains(text, "://") {
		return l, false
	}
	name, marker, marked := strings.Cut(text, ";")
	if marked {
		l.after = ";" + marker
	}
	name = strings.TrimSpace(name)
	if strings.HasSuffix(name, "]") {
		if found := extras.FindStringSubmatch(name); found != nil {
			name, l.after = found[1], found[2]+l.after
		}
	}
	if name == "" || !editable && !strings.Contains(name, "/") && name[0] != '.' && !archive.MatchString(name) {
		return l, false
	}
	l.path = pathOf(name, source)
	return l, true
}

// moved returns the same requirement with another path.
func (l localRequirement) moved(path string) string {
	if l.address {
		path = (&url.URL{Scheme: "file", Path: path}).String()
	}
	return l.before + path + l.after
}

// installable says that pip would install from a folder.
func installable(dir string) bool {
	for _, name := range []string{"pyproject.toml", "setup.py"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// local counts what a requirement names of this machine. ours says that we can hand over a copy of
// it instead. What is not there is for pip to refuse.
func (r *Reads) local(text string, editable, ours bool) {
	l, ok := readLocal(text, r.b.Source, editable)
	if !ok {
		return
	}
	switch info, err := os.Stat(l.path); {
	case err != nil:
	case !info.IsDir():
		r.other(l.path, "/")
	case installable(l.path) && !ours && r.refused == nil:
		r.refused = fmt.Errorf("%s is to be installed by a setting of pip, where it cannot be given a copy of it: name it in requirements, or in pip_args", l.path)
	case installable(l.path) && !slices.Contains(r.Projects, l.path) && !r.full():
		r.Projects = append(r.Projects, l.path)
	}
}

// notCopied says that something is no part of a project: what Python, version control, editors and
// earlier installations make, and virtual environments.
func notCopied(path string, d fs.DirEntry) bool {
	name := d.Name()
	if !d.IsDir() {
		return strings.HasSuffix(name, ".pyc") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") || strings.HasPrefix(name, ".#")
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			found, err := filepath.Glob(filepath.Join(path, name))
			return err == nil && len(found) > 0
		})
	}
	switch {
	case slices.Contains([]string{"__pycache__", ".git", ".hg", ".svn", "node_modules", ".eggs", ".tox", ".nox"}, name), strings.HasSuffix(name, ".egg-info"):
		return true
	case name == "build":
		return has("lib", "lib.*", "bdist.*") && !has("__init__.py")
	}
	return has("pyvenv.cfg", "CACHEDIR.TAG")
}

// walkProject calls visit for every folder, file and link that belongs to the project at dir, which
// has no links in it. A link that leads out of it stands for the file that it leads to.
func walkProject(ctx context.Context, dir, root string, visit func(rel string, d fs.DirEntry) error) error {
	seen := counter{of: dir}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = seen.another()
		}
		if err != nil || path == dir {
			return err
		}
		if path == root || notCopied(path, d) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Type() == fs.ModeSymlink {
			if d, err = projectLink(dir, path, d); err != nil || d == nil {
				return err
			}
		}
		if !d.IsDir() && !d.Type().IsRegular() && d.Type() != fs.ModeSymlink {
			return nil // a socket is no part of a package
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return visit(rel, d)
	})
}

// projectLink returns what belongs to a project for a link, nil for nothing.
func projectLink(dir, path string, link fs.DirEntry) (fs.DirEntry, error) {
	text, err := os.Readlink(path)
	if err != nil {
		return nil, err
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it leads to nothing, and is nothing
	}
	if err != nil {
		return nil, fmt.Errorf("follow link: %w", err)
	}
	inside, err := filepath.Rel(dir, target)
	if err == nil && filepath.IsLocal(inside) && !filepath.IsAbs(text) {
		return link, nil
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a link to the folder %s, out of the project: an environment must hold all it needs; copy it in", path, text)
	}
	return fs.FileInfoToDirEntry(info), nil
}

// readProject returns what the project at dir holds. root, where the releases are, is no part of
// it.
func (c *Hashes) readProject(ctx context.Context, dir, root string) (Tree, error) {
	done, err := c.mayRead(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	t := Tree{}
	err = eachInProject(ctx, dir, root, func(in *os.Root, rel string, d fs.DirEntry) (err error) {
		if !d.IsDir() {
			t[rel], err = c.entry(ctx, in, rel, d)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read local project %s: %w", dir, err)
	}
	return t, nil
}

func eachInProject(ctx context.Context, dir, root string, visit func(in *os.Root, rel string, d fs.DirEntry) error) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real // it need not be there yet
	}
	in, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	return walkProject(ctx, dir, root, func(rel string, d fs.DirEntry) error { return visit(in, rel, d) })
}

// Sum stands for a tree.
func (t Tree) Sum() string {
	h := sha256.New()
	for _, rel := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(h, "%q %s\n", rel, t[rel])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// otherHash stands for a file of any size.
func otherHash(ctx context.Context, path string) (string, error) {
	f, err := openRegular(Anywhere, path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = tooLarge(f, info.Size())
	}
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, cancelledReader{ctx, io.LimitReader(f, info.Size())}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
