package cli

import (
	"fmt"
	"path/filepath"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// client returns a client of the supervisor that runs a file. The file's root is found even where
// the rest of the file is bad, so that the commands work after a bad edit.
func client(file string) (control.Client, error) {
	root, err := config.RootOf(file)
	if err != nil {
		return control.Client{}, err
	}
	c, err := clientOf(root, file)
	before, ok := config.Remembered(file)
	if err != nil || !ok || before == root || c.Listened() {
		return c, err
	}
	// An edit of root waits for a restart: until then the supervisor runs on the one before.
	if running, err := clientOf(before, file); err == nil && running.Listened() {
		return running, nil
	}
	return c, nil
}

func clientOf(root, file string) (control.Client, error) {
	socket, err := filepath.Abs(supervisor.ControlSocket(root))
	if err != nil {
		return control.Client{}, fmt.Errorf("find control socket: %w", err)
	}
	return control.Client{Socket: socket, File: file}, nil
}
