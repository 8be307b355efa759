package statics

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// with calls f with the user's rights on files, and with none of ours (credentials(7)). f must start
// no goroutine that needs them.
func with(as config.Identity, f func() error) error {
	if as.Own() {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its user with it.
		runtime.LockOSThread()
		err := become(as)
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// become gives this thread the user and groups for access to files. The system calls are raw: those
// of package syscall change every thread.
func become(as config.Identity) error {
	groups := append([]uint32{}, as.Groups...)
	if len(groups) == 0 {
		groups = append(groups, uint32(max(as.GID, 0))) // an empty list has no address
	}
	n := len(as.Groups)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(n), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return fmt.Errorf("become the build's user: set groups: %w", errno)
	}
	if as.GID >= 0 {
		if _, err := unix.SetfsgidRetGid(as.GID); err != nil {
			return fmt.Errorf("become the build's user: set group: %w", err)
		}
		if now, _ := unix.SetfsgidRetGid(-1); now != as.GID {
			return fmt.Errorf("become the build's user: the group stays %d", now)
		}
	}
	if as.UID >= 0 {
		if _, err := unix.SetfsuidRetUid(as.UID); err != nil {
			return fmt.Errorf("become the build's user: set user: %w", err)
		}
		if now, _ := unix.SetfsuidRetUid(-1); now != as.UID {
			return fmt.Errorf("become the build's user: the user stays %d", now)
		}
	}
	return nil
}
