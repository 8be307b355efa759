package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// setAside is build.SetAside, and logs what was moved.
func setAside(path string, kind fs.FileMode, log hclog.Logger) error {
	to, err := build.SetAside(path, kind)
	return wasSetAside(path, to, err, log)
}

// setDataAside is build.SetDataAside, and logs what was moved.
func setDataAside(path string, log hclog.Logger) error {
	to, err := build.SetDataAside(path)
	return wasSetAside(path, to, err, log)
}

// wasSetAside logs what was moved, and returns err.
func wasSetAside(path, to string, err error, log hclog.Logger) error {
	if to != "" {
		log.Warn(build.WasSetAside, "path", path, "to", to)
	}
	return err
}

// setOwnAside makes room for the supervisor's own folder and for all that it keeps there.
func setOwnAside(root layout.Root, log hclog.Logger) error {
	err := setAside(root.Own(), fs.ModeDir, log) // it comes first: the others are below it
	for _, dir := range []string{root.State(), root.Logs(), root.MigrationLocks()} {
		err = errors.Join(err, setAside(dir, fs.ModeDir, log))
	}
	err = errors.Join(err, setAside(root.Control(), fs.ModeSocket, log))
	paths := append(state.Files(root.Own()), root.LastGood())
	for _, pattern := range []string{root.Events() + "*", filepath.Join(root.State(), "*.json"), filepath.Join(root.MigrationLocks(), "*.json"),
		// What is being written has another name until then.
		filepath.Join(root.State(), ".*.new"), filepath.Join(root.Own(), ".*.new"), root.LastGood() + ".new"} {
		found, readErr := others(pattern)
		paths, err = append(paths, found...), errors.Join(err, readErr)
	}
	for _, path := range paths {
		if !strings.Contains(filepath.Base(path), build.Aside) {
			err = errors.Join(err, setAside(path, 0, log))
		}
	}
	return err
}

// others returns what matches a pattern of files and is none. It reads the folder and asks about no
// file: there are a thousand records of as many builds, and this is looked at now and again.
func others(pattern string) (paths []string, err error) {
	folder, name := filepath.Split(pattern)
	all, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil // it is not there yet, or whoever made it unreadable hears of it where it is needed
	}
	for _, entry := range all {
		is, err := filepath.Match(name, entry.Name())
		if err != nil {
			return nil, err
		}
		if is && !entry.Type().IsRegular() {
			paths = append(paths, folder+entry.Name())
		}
	}
	return paths, nil
}
