package statics

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// File is a static file of a release.
type File struct {
	Sum  string      `json:"sum"` // of its content
	Size int64       `json:"size"`
	Mode fs.FileMode `json:"mode"`
}

// List is the static files of a release, by their paths below the folder that holds them.
type List map[string]File

// Look lists the files in a folder. Links and anything else that is no file or folder are left out
// and returned as others.
func Look(ctx context.Context, dir string) (l List, others []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list static files: %w", err)
	}
	defer root.Close()
	l = List{}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			others = append(others, path)
			return nil
		}
		l[path], err = look(root, path)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list static files: %w", err)
	}
	return l, others, nil
}

func look(root *os.Root, path string) (File, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return File{}, err
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file any more", path)
	}
	if err != nil {
		return File{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, info.Size()))
	return File{Sum: fmt.Sprintf("%x", h.Sum(nil)), Size: n, Mode: info.Mode().Perm()}, err
}

// Write writes the list to a file.
func (l List) Write(path string) error {
	text, err := json.Marshal(l)
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o640)
	}
	if err != nil {
		return fmt.Errorf("write the list of static files: %w", err)
	}
	return nil
}

// mostListed is more than a list of a hundred thousand files has.
const mostListed = 64 << 20

// read reads what Write wrote. A list is a file of the supervisor's.
func read(path string) (List, error) {
	text, err := untrusted.ReadBelow(filepath.Dir(path), filepath.Base(path), mostListed)
	if err != nil {
		return nil, fmt.Errorf("read the list of static files: %w", err)
	}
	var l List
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("read the list of static files %s: %w", path, err)
	}
	for name := range l {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("read the list of static files %s: %q leads out of the folder", path, name)
		}
	}
	return l, nil
}
