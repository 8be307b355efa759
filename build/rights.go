package build

import (
	"fmt"

	"github.com/medctrl/medctrl-supervisor/config"
)

// MayNotExecute returns an error where a build's user may not execute a program.
func MayNotExecute(path string, as config.Identity) error {
	at := config.Denied(path, as, config.Execute)
	switch {
	case at == "":
		return nil
	case at == path:
		return fmt.Errorf("user %d, whom the build runs as, may not execute %s: chmod a+x it, or name another program", as.UID, path)
	}
	return fmt.Errorf("user %d, whom the build runs as, may not execute %s, because of the rights of %s: chmod a+x that, or name another program", as.UID, path, at)
}

// MayNotEnter returns an error where a build's user may not enter a folder, in which steps are started.
func MayNotEnter(folder string, as config.Identity) error {
	at := config.Denied(folder, as, config.Execute)
	if at == "" {
		return nil
	}
	return fmt.Errorf("user %d, whom the build runs as, may not enter %s: chmod o+x it, or give it to a group that the user is in", as.UID, at)
}
