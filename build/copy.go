package build

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// copyTree copies the application at from to the folder to and returns what it copied. Modes become
// 0640 and 0750, less what the source itself denies. skip is called for what is left out.
func copyTree(ctx context.Context, from, to string, skip func(rel string), shared ...string) (tree, error) {
	t := tree{}
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
		var err error
		switch {
		case d.IsDir():
			return os.Mkdir(target, 0o750)
		case d.Type() == fs.ModeSymlink:
			if t[rel], err = entryHash(root, rel, d); err == nil {
				err = os.Symlink(strings.TrimPrefix(t[rel], "link "), target)
			}
		default:
			t[rel], err = copyFile(within(root), rel, target)
		}
		return err
	}, skip, shared...)
	if err != nil {
		return nil, fmt.Errorf("copy the application: %w", err)
	}
	return t, nil
}

func copyFile(open opener, from, to string) (hash string, err error) {
	in, err := openRegular(open, from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	mode := fs.FileMode(0o640)
	if info.Mode()&0o111 != 0 {
		mode = 0o750
	}
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	if err = out.Chmod(mode); err == nil { // whatever our umask
		if cloned(out, in) {
			hash, err = contentHash(out, nil) // what was copied, whatever becomes of the source
		} else {
			hash, err = contentHash(in, out)
		}
	}
	if closing := out.Close(); err == nil {
		err = closing
	}
	return hash, err
}
