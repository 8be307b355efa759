package build

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// diskFull adds what to do where err comes from a full disk, of a process of ours too, of which
// only an exit code is known.
func diskFull(err error, root string) error {
	where, full := fullDisk(err, root)
	if !full {
		return err
	}
	hint := fmt.Sprintf("the disk of %s is full: free some space (df -h %s) and rebuild", where, where)
	var step *StepError
	if errors.As(err, &step) {
		step.Err = fmt.Errorf("%w: %s", step.Err, hint)
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}

// hardlyAny is so little room that a program that failed most likely failed for the want of it.
const hardlyAny = 256 << 10

// fullDisk says whether err was for want of space, and where.
func fullDisk(err error, root string) (where string, full bool) {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return root, true
	}
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) != nil {
		return "", false
	}
	return root, fs.Bavail*uint64(fs.Bsize) < hardlyAny || fs.Files > 0 && fs.Ffree == 0
}
