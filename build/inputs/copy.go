package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// CopyTree copies the application at from, as far as r may read it, to the folder to and returns
// what it copied. Modes become 0640 and 0750, less what the source itself denies. skip is called for
// what is left out. shared are folders to which links may lead.
func CopyTree(ctx context.Context, from, to string, r Reader, skip func(rel string), shared ...string) (Tree, error) {
	t := Tree{}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, fmt.Errorf("copy the application: %w", err)
	}
	defer root.Close()
	err = walk(ctx, from, func(rel string, d fs.DirEntry) error {
		target := filepath.Join(to, rel)
		closed, err := r.closed(from, rel, d)
		switch {
		case err != nil:
		case closed:
			t[rel] = ClosedEntry
			if d.IsDir() {
				return filepath.SkipDir
			}
		case d.IsDir():
			return copyFolder(d, target, r)
		case d.Type() == fs.ModeSymlink:
			if t[rel], err = entryHash(ctx, root, rel, d); err == nil {
				err = os.Symlink(strings.TrimPrefix(t[rel], "link "), target)
			}
		default:
			if t[rel], err = CopyFile(ctx, r.opener(within(root)), rel, target, r); errors.Is(err, errClosed) {
				t[rel], err = ClosedEntry, nil // since we looked
			}
		}
		return err
	}, skip, shared...)
	if err != nil {
		return nil, fmt.Errorf("copy the application: %w", err)
	}
	return t, nil
}

func copyFolder(d fs.DirEntry, to string, r Reader) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	return os.Mkdir(to, r.mode(0o750, info.Mode()))
}

func CopyFile(ctx context.Context, open Opener, from, to string, r Reader) (hash string, err error) {
	in, err := openRegular(open, from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	if err := tooLarge(in, info.Size()); err != nil {
		return "", err
	}
	mode := fs.FileMode(0o640)
	if info.Mode()&0o111 != 0 {
		mode = 0o750
	}
	mode = r.mode(mode, info.Mode())
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	if err = out.Chmod(mode); err == nil { // whatever our umask
		if cloned(out, in) {
			hash, err = contentHash(ctx, out, nil) // what was copied, whatever becomes of the source
		} else {
			hash, err = contentHash(ctx, in, out)
		}
	}
	if closing := out.Close(); err == nil {
		err = closing
	}
	return hash, err
}

// CopyProject copies the project at dir to the folder to, for the build's user to write in: what
// builds a package writes next to its source (setuptools, build/ and *.egg-info).
func CopyProject(ctx context.Context, dir, root, source, to string, as config.Identity) (Tree, error) {
	t, r := Tree{}, Reader{As: as}.from(ResolvedAsFar(source), ResolvedAsFar(dir))
	err := os.MkdirAll(to, 0o750)
	if err == nil {
		err = eachInProject(ctx, dir, root, func(in *os.Root, rel string, d fs.DirEntry) (err error) {
			target := filepath.Join(to, rel)
			switch {
			case d.IsDir():
				return copyFolder(d, target, r)
			case d.Type() == fs.ModeSymlink:
				if t[rel], err = entryHash(ctx, in, rel, d); err == nil {
					err = os.Symlink(strings.TrimPrefix(t[rel], "link "), target)
				}
			default:
				t[rel], err = CopyFile(ctx, r.opener(within(in)), rel, target, r)
			}
			return err
		})
	}
	if err == nil {
		err = giveAway(to, as)
	}
	if err != nil {
		return nil, fmt.Errorf("copy local project %s: %w", dir, err)
	}
	return t, nil
}

// giveAway gives everything below dir, and then dir itself, to the build's user: until a folder is
// theirs they cannot exchange what is in it.
func giveAway(dir string, as config.Identity) error {
	if as.UID < 0 && as.GID < 0 {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = giveAway(path, as)
		} else {
			err = os.Lchown(path, as.UID, as.GID)
		}
		if err != nil {
			return err
		}
	}
	return os.Lchown(dir, as.UID, as.GID)
}
