package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// WasSetAside is what the log says of what SetAside has moved.
const WasSetAside = "something else was in the place of what is ours, and was moved aside"

// Aside is what follows the name of what was moved aside.
const Aside = ".aside"

// SetAside makes room for something of ours of that kind (fs.FileMode.Type) at path: what is there
// and is of another kind, since somebody put it there, gets the name PATH.aside, or PATH.aside2 and so
// on, which SetAside returns. Nothing of anybody's is removed. A link in the place of a folder is left
// alone if it leads to one: it may be meant.
func SetAside(path string, kind fs.FileMode) (to string, err error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() == kind {
		return "", nil // whoever needs the place says what is wrong with it
	}
	if kind == fs.ModeDir && info.Mode().Type() == fs.ModeSymlink {
		if there, err := os.Stat(path); err == nil && there.IsDir() {
			return "", nil
		}
	}
	return MoveAside(path)
}

// SetDataAside is SetAside for a data folder. A link that leads nowhere is left alone as well: the
// file system that it leads to may not be mounted yet, and another folder would not have the data.
func SetDataAside(path string) (to string, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return SetAside(path, fs.ModeDir)
}

// MoveAside gives what is at path the name that SetAside gives it, whatever it is.
func MoveAside(path string) (to string, err error) {
	for n := 1; ; n++ {
		to := path + Aside
		if n > 1 {
			to += fmt.Sprint(n)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			if n < mostAside {
				continue
			}
			return "", fmt.Errorf("move %s aside: there are %d such already, remove them", path, n)
		}
		if err := os.Rename(path, to); err != nil {
			return "", fmt.Errorf("move what is in the place of ours aside: %w", err)
		}
		return to, nil
	}
}

// mostAside is how many things are moved aside from one path.
const mostAside = 20

// makeRoom sets aside what is in the place of what an attempt makes or replaces in the build's folder.
func (m *Maker) makeRoom(dir layout.Build) error {
	var errs []error
	for path, kind := range map[string]fs.FileMode{
		dir.Releases(): fs.ModeDir, dir.Venvs(): fs.ModeDir,
		dir.FailedLog(): 0, dir.FailedRecord(): 0, dir.StaticRecord(): 0,
	} {
		to, err := SetAside(path, kind)
		errs = append(errs, m.wasSetAside(path, to, err))
	}
	to, err := SetDataAside(dir.Data())
	return errors.Join(append(errs, m.wasSetAside(dir.Data(), to, err))...)
}

// wasSetAside logs what was moved, and returns err.
func (m *Maker) wasSetAside(path, to string, err error) error {
	if to != "" {
		m.Log.Warn(WasSetAside, "path", path, "to", to)
	}
	return err
}
