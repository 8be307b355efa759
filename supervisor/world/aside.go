package world

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// setAside is build.SetAside, and logs what was moved.
func setAside(path string, kind fs.FileMode, log hclog.Logger) error {
	to, err := build.SetAside(path, kind)
	if to != "" {
		log.Warn(build.WasSetAside, "path", path, "to", to)
	}
	return err
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
