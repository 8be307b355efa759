//go:build !amd64 && !arm64

package process

import (
	"errors"
	"syscall"
)

// canClone says that children are started by the exec step here.
const canClone = false

func clone(*image, *syscall.Rlimit) (pid, pidfd int, err error) {
	return 0, -1, errors.ErrUnsupported
}
