package process

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// cookieOf is the limit RLIMIT_LOCKS that the tree with a tag is started with, or 0. The kernel has
// not used that limit since Linux 2.4 (getrlimit(2)), but every process hands it on, and cannot
// raise it again unless it is privileged: so a daemon that left its session, lost its parent and
// emptied its environment still says whose it is, where there is no cgroup to say so. Others may set
// themselves such a limit as well: like a mark it is a claim.
func cookieOf(tag string) uint64 {
	if tag == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(tag))
	return binary.BigEndian.Uint64(sum[:])>>2 | 1<<61 // far below RLIM_INFINITY, far above what somebody would ask for
}

// cookieIn reads /proc/PID/limits (proc_pid_limits(5)), which anybody may. It is 0 where there is none.
func cookieIn(limits []byte) uint64 {
	const key = "Max file locks"
	i := bytes.Index(limits, []byte(key))
	if i < 0 {
		return 0
	}
	line, _, _ := bytes.Cut(limits[i+len(key):], []byte("\n"))
	fields := bytes.Fields(line) // soft, hard, unit
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil || n < 1<<61 {
		return 0 // "unlimited", or somebody's
	}
	return n
}
