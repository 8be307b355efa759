package statics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNoExchange says that the folders cannot exchange their names here.
var errNoExchange = errors.New("exchange of folders is not possible here")

// exchange has the prepared folder and the present one exchange their names, and removes what was
// served before.
func (p *plan) exchange() error {
	parent, err := os.Open(filepath.Dir(p.dir))
	if err != nil {
		return err
	}
	defer parent.Close() // it was only read
	if info, err := os.Lstat(p.dir); err != nil {
		return err
	} else if !os.SameFile(info, p.like) {
		return fmt.Errorf("%s was replaced by something else meanwhile: %w", p.dir, fs.ErrNotExist)
	}
	fd := int(parent.Fd())
	if err := unix.Renameat2(fd, p.nextTo(), fd, p.base(), unix.RENAME_EXCHANGE); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return err // somebody removed one of them
		}
		return errors.Join(errNoExchange, &fs.PathError{Op: "exchange", Path: p.dir, Err: err})
	}
	return p.sweep()
}

// sweep removes the folder that had the name before the exchange. What others put there since it was
// compared moves to the new one.
func (p *plan) sweep() error {
	parent, err := os.OpenRoot(filepath.Dir(p.dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	var folders []string
	old := p.nextTo()
	err = fs.WalkDir(parent.FS(), old, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, path)
			return nil
		}
		rel := strings.TrimPrefix(path, old+"/")
		_, was := p.now.Files[rel]
		if _, is := p.want[rel]; is || was {
			return parent.Remove(path)
		}
		to := filepath.Join(p.base(), rel)
		if err := p.folders(parent, filepath.Dir(to)); err != nil {
			return err
		}
		return parent.Rename(path, to)
	})
	for _, dir := range slices.Backward(folders) {
		if err == nil {
			err = parent.Remove(dir)
		}
	}
	return err
}

// replace puts the prepared files in place one by one: new ones, then those that change. What is not
// wanted any more comes last.
func (p *plan) replace(ctx context.Context) error {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var changed []int
	for i, path := range p.put {
		if _, err := root.Lstat(path); err == nil {
			changed = append(changed, i)
			continue
		}
		if err := p.place(root, i); err != nil {
			return err
		}
	}
	for _, i := range changed {
		if err := p.place(root, i); err != nil {
			return err
		}
	}
	for _, path := range p.drop {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := remove(root, path); err != nil {
			return err
		}
	}
	return root.RemoveAll(nextSuffix)
}

// place gives a prepared file its name.
func (p *plan) place(root *os.Root, i int) error {
	path := p.put[i]
	p.clear(root, path)
	if err := p.folders(root, filepath.Dir(path)); err != nil {
		return err
	}
	return root.Rename(prepared(i), path)
}

// clear removes files of ours that are where a folder has to be, and folders of ours where a file has
// to be. What else is in the way is said by who needs the place.
func (p *plan) clear(root *os.Root, path string) {
	info, err := root.Lstat(path)
	folder := err == nil && info.IsDir()
	if !folder && !errors.Is(err, unix.ENOTDIR) {
		return
	}
	for _, ours := range p.drop {
		if strings.HasPrefix(path, ours+"/") || strings.HasPrefix(ours, path+"/") {
			_ = remove(root, ours) // see above
		}
	}
}

// remove removes a file, and the folders above it that are empty then.
func remove(root *os.Root, path string) error {
	if info, err := root.Lstat(path); err == nil && info.IsDir() {
		return nil // it has taken the file's place
	}
	if err := root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if root.Remove(dir) != nil {
			break // something else is in it
		}
	}
	return nil
}

// tidy removes what an attempt that was interrupted has left: what was prepared, or, after an
// exchange, what was served before it.
func (p *plan) tidy() error {
	if err := os.RemoveAll(filepath.Join(p.dir, nextSuffix)); err != nil {
		return err
	}
	parent, err := os.OpenRoot(filepath.Dir(p.dir))
	if err != nil {
		return nil // then nothing was prepared there
	}
	defer parent.Close()
	if _, err := parent.Lstat(p.nextTo()); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if st, ok := p.like.Sys().(*syscall.Stat_t); ok && p.now.Next != 0 && st.Ino == p.now.Next {
		return p.sweep()
	}
	return parent.RemoveAll(p.nextTo())
}
