package process

import (
	"bytes"
	"os"
	"slices"
)

// nobodys is the user of a process whose real, effective, saved and file system user are not one:
// of somebody's set-user-ID program.
const nobodys = -1

// uidIn reads the user of a process from its /proc/PID/status (proc_pid_status(5)). The owner of
// /proc/PID would not do: it is root's where the process is not dumpable.
func uidIn(status []byte) int {
	const key = "\nUid:"
	i := bytes.Index(status, []byte(key))
	if i < 0 {
		return nobodys
	}
	line, _, _ := bytes.Cut(status[i+len(key):], []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) != 4 {
		return nobodys
	}
	uid := nobodys
	for i, field := range fields {
		n, ok := number(field)
		if !ok || n >= 1<<32-1 || i > 0 && int(n) != uid {
			return nobodys
		}
		uid = int(n)
	}
	return uid
}

// owns reports whether what p says of itself is believed: that it belongs to this child's tree. What
// a process carries is only a claim, for anybody can start a program with any environment and any
// lower limit. It is believed of a process that is run by the tree's own user, and of our own
// children, which only what we started can become: an orphan may have changed its user.
func (c *Child) owns(p proc) bool {
	return slices.Contains(c.users, p.uid) || p.ppid == os.Getpid() && c.cgroup == ""
}

// userOf is the user that a child with that Spec runs as.
func userOf(s Spec) int {
	if s.User != nil {
		return int(s.User.UID)
	}
	return os.Geteuid()
}
