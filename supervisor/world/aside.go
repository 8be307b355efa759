package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// setAside makes room for something of ours of that kind (fs.FileMode.Type) at path: what is there
// and is of another kind, since somebody put it there, gets the name PATH.aside, or PATH.aside2 and so
// on. Nothing of anybody's is removed. A link in the place of a folder is left alone: it may be meant.
func setAside(path string, kind fs.FileMode, log hclog.Logger) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() == kind || kind == fs.ModeDir && info.Mode().Type() == fs.ModeSymlink {
		return nil // whoever needs the place says what is wrong with it
	}
	for n := 1; ; n++ {
		to := path + ".aside"
		if n > 1 {
			to += fmt.Sprint(n)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			if n < mostAside {
				continue
			}
			return fmt.Errorf("move %s aside: there are %d such already, remove them", path, n)
		}
		if err := os.Rename(path, to); err != nil {
			return fmt.Errorf("move what is in the place of ours aside: %w", err)
		}
		log.Warn("something else was in the place of what is ours, and was moved aside", "path", path, "to", to)
		return nil
	}
}

// setOwnAside makes room for all that the supervisor keeps in its own folder.
func setOwnAside(root layout.Root, log hclog.Logger) error {
	err := errors.Join(
		setAside(root.State(), fs.ModeDir, log), setAside(root.Logs(), fs.ModeDir, log), setAside(root.Control(), fs.ModeSocket, log),
		setAside(root.LastGood(), 0, log), setAside(root.Events(), 0, log),
	)
	for _, path := range state.Files(root.Own()) {
		err = errors.Join(err, setAside(path, 0, log))
	}
	records, globErr := filepath.Glob(filepath.Join(root.State(), "*.json"))
	for _, path := range records {
		err = errors.Join(err, setAside(path, 0, log))
	}
	return errors.Join(err, globErr)
}

// mostAside is how many things are moved aside from one path.
const mostAside = 20
