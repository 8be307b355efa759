package config

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/config/custody"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// readEnvText reads the env_file of b. As root we read for a build's user what they cannot, which is
// how passwords are kept: root's alone. But a file that its user may exchange, as they may, is read
// only where they could read it themselves: else a link in its place would show them another build's.
func readEnvText(b Build) ([]byte, error) {
	f, err := untrusted.Open(b.EnvFile)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	id, err := IdentityOf(b)
	// An error is one of user or group, which is reported.
	if err == nil && id.UID >= 0 && id.UID != os.Geteuid() && os.Geteuid() == 0 && !mayRead(f, id) {
		_, gids := whoRuns(b)
		if found := (custody.Custody{UIDs: trusted(), Strangers: gids}).Of(b.EnvFile); len(found) > 0 {
			return nil, fmt.Errorf("%s: user %d, whom the build runs as, may not read it, and root does not read it for them, since %s could be exchanged: "+
				"put it into a folder of root's, or give it to the build's user", b.EnvFile, id.UID, found[0].Path)
		}
	}
	return untrusted.Read(f, maxFile)
}

// mayRead says whether a user may read what was opened, by where it really lies.
func mayRead(f *os.File, id Identity) bool {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	if err != nil || !os.SameFile(there, opened) {
		return false
	}
	stat, ok := opened.Sys().(*syscall.Stat_t)
	return ok && Permitted(opened.Mode(), int(stat.Uid), int(stat.Gid), id, Read) && Denied(path, id, Read) == ""
}
