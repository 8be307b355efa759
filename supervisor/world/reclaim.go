package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// reclaim takes folders of root's own back that somebody else could change by now, since they were
// given away (chown -R) or opened (chmod -R), with everything in them. Such a folder above them is not
// ours to change, and none below it is safe: then it does nothing. So it does for any other user, who
// cannot.
func reclaim(log hclog.Logger, dirs ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var errs []error
	for _, dir := range dirs {
		for _, f := range (&config.Config{}).Custody().Of(dir) {
			if !f.Grave {
				continue
			}
			if f.Path != dir || !f.Dir {
				return errors.Join(errs...) // MakeFolder says who could change what
			}
			if err := takeBack(dir, 0o022); err != nil {
				errs = append(errs, fmt.Errorf("take %s back: %w", dir, err))
				continue
			}
			log.Warn("somebody else could change what is ours, and cannot any more", "finding", before(f))
		}
	}
	return errors.Join(errs...)
}

// before is a finding that was dealt with.
func before(f custody.Finding) string { return f.Path + ": " + f.Who }

// takeBack makes us the owner of a file or folder, and takes rights of others to it away.
func takeBack(path string, rights uint32) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	// In this order the owner until now cannot undo it.
	if int(st.Uid) != os.Geteuid() {
		if err := unix.Fchownat(fd, "", os.Geteuid(), os.Getegid(), unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if st.Mode&rights == 0 {
		return nil
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), st.Mode&0o7777&^rights)
}

// isPrivate says that a file is ours and nobody else's, or is not there.
func isPrivate(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) == os.Geteuid() && st.Mode&0o777 == 0o600
}

// dropForeign removes private files that others may have open for writing, as they were theirs or more
// than private for a while: they are written anew.
func dropForeign(paths ...string) error {
	var errs []error
	for _, path := range paths {
		if isPrivate(path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// closeForeign makes private files ours alone that are not written anew.
func closeForeign(paths ...string) error {
	var errs []error
	for _, path := range paths {
		if !isPrivate(path) {
			errs = append(errs, takeBack(path, 0o177))
		}
	}
	return errors.Join(errs...)
}
