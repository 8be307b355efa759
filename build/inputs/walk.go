package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// noise says what of an application is left out of its releases and of their identity: the
// repository, Python's cache of bytecode, which belongs to the files next to it and is made again,
// and what an editor has open. Everything else is the application's, whatever its name: packages of
// npm that are served as static files, bytecode that is shipped without its source, a database.
// docs/configuration.md has this list.
func noise(name string, dir bool) bool {
	if name == ".git" { // a file in a worktree and in a submodule
		return true
	}
	if dir {
		return name == "__pycache__" || name == ".hg" || name == ".svn"
	}
	ext := filepath.Ext(name)
	return strings.HasPrefix(name, ".") && (ext == ".swp" || ext == ".swo" || ext == ".swx") || // Vim
		strings.HasPrefix(name, ".#") || strings.HasSuffix(name, "~") // Emacs, and backups
}

// walk calls visit for everything of an application folder that goes into a release, with the path
// relative to it, parents first, and skip, where it is given, for what is left out. A link that
// leads out of the folder, but for one to a folder in shared, and anything that is no file, folder or
// link is an error. app itself has no links in it: see resolved.
func walk(ctx context.Context, app string, visit func(rel string, d fs.DirEntry) error, skip func(rel string), shared ...string) error {
	seen := counter{of: app}
	return filepath.WalkDir(app, func(path string, d fs.DirEntry, err error) (result error) {
		defer func() {
			if path != app && vanished(path, result) {
				result = nil // it is not part of the application any more
			}
			result = denied(path, result)
		}()
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = seen.another()
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(app, path)
		if err != nil || rel == "." {
			return err
		}
		// A link in the place of a cache would have us write bytecode to where it leads.
		if noise(d.Name(), d.IsDir() || d.Type() == fs.ModeSymlink && d.Name() == "__pycache__") {
			if skip != nil {
				skip(rel)
			}
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		switch d.Type() {
		case 0, fs.ModeDir:
		case fs.ModeSymlink:
			if d, err = followed(app, rel, d, shared); err != nil {
				return err
			}
		default:
			return notRegular(path, d.Type())
		}
		return visit(rel, d)
	})
}

// denied is an error in a sentence where it is that we ourselves may not read what is at path.
func denied(path string, err error) error {
	var p *fs.PathError
	if !errors.As(err, &p) || !errors.Is(p.Err, fs.ErrPermission) || filepath.IsAbs(p.Path) && p.Path != path {
		return err
	}
	return fmt.Errorf("%s: %w: the user whom the supervisor runs as may not read it; permit that, or move it out of the application", path, p.Err)
}

// mostEntries is more files and folders than any application or package has.
const mostEntries = 1_000_000

// counter counts what is in a folder.
type counter struct {
	of   string
	seen int
}

func (c *counter) another() error {
	if c.seen++; c.seen > mostEntries {
		return fmt.Errorf("%s holds more than %d files and folders: is it the right folder? What the application writes belongs under MEDCTRL_DATA", c.of, mostEntries)
	}
	return nil
}

// vanished reports whether an error is only that what was at path when its folder was read has been
// removed since.
func vanished(path string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Resolved is the application's folder without links on the way: one that is swapped while it is
// read does not mix two sources.
func Resolved(b config.Build) (string, error) {
	app, err := filepath.EvalSymlinks(b.AppPath())
	if err != nil {
		return "", fmt.Errorf("find the application: %s (app_dir in source): %w", b.AppPath(), cause(err))
	}
	return app, nil
}

// followed returns what goes into a release for a link: the link, where it leads to something
// inside the application, or to nothing. A link to a file elsewhere, by its text or by what other
// links make of it, is that file; a link to a folder elsewhere, or to what cannot be read as a
// file, is an error, unless the folder is shared and the link leads there from a release as well.
func followed(app, rel string, link fs.DirEntry, shared []string) (fs.DirEntry, error) {
	path := filepath.Join(app, rel)
	to, err := os.Readlink(path)
	if err != nil {
		return nil, err
	}
	out := filepath.IsAbs(to) || !filepath.IsLocal(filepath.Join(filepath.Dir(rel), to))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !out:
		return link, nil
	case errors.Is(err, fs.ErrNotExist) && slices.Contains(shared, filepath.Clean(to)): // the build's data, before its first release
		return link, nil
	case errors.Is(err, fs.ErrNotExist) && isShared(to, shared):
		return nil, fmt.Errorf("%s is a link to %s, and nothing is there: make that folder, for the build's user to write in, or remove the link", path, to)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is a link to %s, out of the application, and nothing is there: remove the link, or put back what it leads to", path, to)
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%s is a link to %s and leads in a circle: remove it, or let it lead to a file", path, to)
	case err != nil:
		return nil, fmt.Errorf("%s is a link to %s, which cannot be followed: %w", path, to, cause(err))
	}
	if !out {
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, fmt.Errorf("%s is a link to %s, which cannot be followed: %w", path, to, cause(err))
		}
		inside, err := filepath.Rel(app, target)
		out = err != nil || !filepath.IsLocal(inside)
	}
	switch {
	case info.Mode().IsRegular() && out:
		return fs.FileInfoToDirEntry(info), nil
	case info.IsDir() && out:
		folder, err := filepath.EvalSymlinks(path)
		if err != nil {
			folder = to // it is only an example
		}
		if inside, err := filepath.Rel(app, folder); err == nil && filepath.IsLocal(inside) {
			return nil, fmt.Errorf("%s is a link to the folder %s of the application itself by a path outside of releases, "+
				"so a release would lead back to the source: make the link a relative one (ln -srfn %s %s)", path, to, folder, path)
		}
		switch isShared := isShared(folder, shared); {
		case isShared && filepath.IsAbs(to):
			return link, nil
		case isShared:
			return nil, fmt.Errorf("%s is a link to %s, a shared folder, by a path that leads elsewhere from a release: "+
				"make the link an absolute one (ln -sfn %s %s)", path, to, folder, path)
		}
		return nil, fmt.Errorf("%s is a link to the folder %s, out of the application, and a release holds all that it needs. "+
			"What the application shares or writes belongs under MEDCTRL_DATA, or at a path that its settings name: "+
			"remove the link, and name the folder in the settings (MEDIA_ROOT = %q, say); or list the folder in [build.sandbox] write, and the link stays",
			path, to, folder)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, notRegular(path+", a link to "+to+",", info.Mode().Type())
	}
	return link, nil
}

// isShared says whether a folder is one of those to which links may lead, or lies in one.
func isShared(folder string, shared []string) bool {
	return filepath.IsAbs(folder) && slices.ContainsFunc(shared, func(dir string) bool {
		return filepath.IsAbs(dir) && IsWithin(ResolvedAsFar(folder), ResolvedAsFar(dir))
	})
}

// cause is an error without the system call and the path, which the sentence around it names.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
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
