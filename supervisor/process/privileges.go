package process

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Rlimit is a limit of each process (setrlimit(2)).
type Rlimit struct {
	Resource int // unix.RLIMIT_CORE and its like
	Cur, Max uint64
}

// limits returns what the Spec asks for, and no core dumps where it says nothing of them: a core
// holds every secret of its process.
func (s Spec) limits() []Rlimit {
	if s.limitOf(unix.RLIMIT_CORE) {
		return s.Rlimits
	}
	return append([]Rlimit{{Resource: unix.RLIMIT_CORE}}, s.Rlimits...)
}

// limitOf reports whether the Spec has a limit of that resource.
func (s Spec) limitOf(resource int) bool {
	return slices.ContainsFunc(s.Rlimits, func(l Rlimit) bool { return l.Resource == resource })
}

// oomFile is what says how soon a process is killed where memory runs out. To raise it needs no
// right; where that was done with CAP_SYS_RESOURCE, the process cannot lower it again.
const oomFile = "/proc/self/oom_score_adj"

// highestOOM is OOM_SCORE_ADJ_MAX of linux/oom.h.
const highestOOM = 1000

// ownOOM returns our own number in oomFile.
func ownOOM() int {
	text, err := os.ReadFile(oomFile)
	if err != nil {
		return 0 // the kernel's own default; without /proc there is nothing to write to either
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return 0
	}
	return n
}

// oomText is what a child that is to be killed more readily than ourselves, by more, writes to
// oomFile; nil where it writes nothing. What lowers our own number (OOMScoreAdjust=) is for us alone.
func oomText(own, more int) []byte {
	if more <= 0 {
		return nil
	}
	return strconv.AppendInt(nil, int64(min(max(own, 0)+more, highestOOM)), 10)
}

// capabilitySets is struct __user_cap_data_struct of linux/capability.h, twice for 64 capabilities:
// its zero value is no capability.
type capabilitySets [2]unix.CapUserData

// capabilities is how many there can be (linux/capability.h has room for 64).
const capabilities = 64

// restrain does in the exec step what restrain of a birth does between fork and exec, as ourselves.
func (o order) restrain() (step, error) {
	if len(o.OOM) > 0 {
		// Where it cannot be written the tree is killed as readily as ourselves.
		if fd, err := unix.Open(oomFile, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.Write(fd, o.OOM)
			unix.Close(fd)
		}
	}
	for _, l := range o.Rlimits {
		if err := unix.Setrlimit(l.Resource, &unix.Rlimit{Cur: l.Cur, Max: l.Max}); err != nil {
			return stepRlimits, err
		}
	}
	if o.Cookie != 0 {
		unix.Setrlimit(unix.RLIMIT_LOCKS, &unix.Rlimit{Cur: o.Cookie, Max: o.Cookie}) // see cookieOf
	}
	if o.NoCapabilities {
		for c := range uintptr(capabilities) {
			if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
				break // there are no more, or we have no CAP_SETPCAP
			}
		}
	}
	return stepExec, nil
}

// dropCapabilities empties the sets of this thread.
func dropCapabilities() error {
	// Linux before 4.3 has no ambient set.
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none capabilitySets
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
