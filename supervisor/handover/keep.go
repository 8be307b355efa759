package handover

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// key is in the environment of a program that is executed in our place: the descriptor from which
// it reads the Handover.
const key = "MEDCTRL_HANDOVER"

// fileName is what the file in memory is called in /proc/PID/fd.
const fileName = "handover"

// Keep writes h for a successor that reads versions up to newest and has the descriptors in it
// survive the exec: entry is for the successor's environment. undo takes that back, for an exec
// that failed; where Keep itself fails nothing is changed. From Keep to the exec no process may be
// started, which would get the descriptors too.
func (h Handover) Keep(newest int) (entry string, undo func(), err error) {
	if newest < Oldest {
		return "", nil, fmt.Errorf("write handover: versions up to %d are read, want %d at least", newest, Oldest)
	}
	h.Version = min(newest, Newest)
	if h.Version < watchesSince {
		h.Watches = nil // it would never close them
	}
	if h.Version < dashboardSince {
		h.Dashboard = Front{} // it would leave it open
	}
	if h.Version < metricsSince {
		h.Metrics = Front{} // the same
	}
	text, err := json.Marshal(h)
	if err != nil {
		return "", nil, fmt.Errorf("write handover: %w", err)
	}
	fd, err := unix.MemfdCreate(fileName, unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, fmt.Errorf("write handover: %w", os.NewSyscallError("memfd_create", err))
	}
	f := os.NewFile(uintptr(fd), fileName)
	all := append(h.descriptors(), fd)
	undo = func() {
		for _, n := range all {
			unix.CloseOnExec(n)
		}
		f.Close() // nobody will read it
	}
	if _, err = f.WriteAt(text, 0); err == nil {
		err = survive(all)
	}
	if err != nil {
		undo()
		return "", nil, fmt.Errorf("write handover: %w", err)
	}
	return key + "=" + strconv.Itoa(fd), undo, nil
}

func survive(fds []int) error {
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
		}
	}
	return nil
}
