package oldkernel

import "golang.org/x/sys/unix"

// Feature is something a kernel may lack.
type Feature int

// The features, with the version of Linux that brought them.
const (
	PidfdGetfd Feature = iota // pidfd_getfd(2), 5.6
	// the whole of clone3(2), as filters refuse what they cannot inspect; CLONE_INTO_CGROUP came
	// with 5.7
	CloneInto
	CloseRange       // close_range(2), 5.9; its flag 5.11
	PidfdNonblock    // PIDFD_NONBLOCK of pidfd_open(2), 5.10
	Landlock         // landlock_create_ruleset(2) and the like, 5.13
	PidfdSignalGroup // PIDFD_SIGNAL_PROCESS_GROUP of pidfd_send_signal(2), 6.9
	PidfdExitStatus  // PIDFD_GET_INFO of ioctl(2), 6.13, with PIDFD_INFO_EXIT 6.15
	SockDiag         // sock_diag(7): the module unix_diag may be missing
	// FALLOC_FL_COLLAPSE_RANGE of fallocate(2), which not every file system has
	CollapseRange
	TmpFile // O_TMPFILE of open(2), which not every file system has
	Inotify // inotify(7): a user may have no instance left
	features
)

// All returns every feature.
func All() []Feature {
	all := make([]Feature, features)
	for i := range all {
		all[i] = Feature(i)
	}
	return all
}

// String is the feature's name.
func (f Feature) String() string {
	names := [features]string{
		"pidfd_getfd", "clone into a cgroup", "close_range", "non-blocking pidfd", "landlock", "signal to a group by pidfd",
		"exit status by pidfd", "sock_diag", "collapse range", "unnamed file", "inotify",
	}
	if f < 0 || f >= features {
		return "unknown feature"
	}
	return names[f]
}

// rule refuses a system call with err. If mask is not 0, it refuses only calls whose argument arg,
// under mask, equals want or, if any is set, is not 0.
type rule struct {
	call uint32
	err  unix.Errno
	arg  uint32
	mask uint32
	want uint32
	any  bool
}

func (f Feature) rules() []rule {
	const every = 1<<32 - 1
	switch f {
	case PidfdGetfd:
		return []rule{{call: unix.SYS_PIDFD_GETFD, err: unix.ENOSYS}}
	case CloneInto:
		return []rule{{call: unix.SYS_CLONE3, err: unix.ENOSYS}}
	case CloseRange:
		return []rule{{call: unix.SYS_CLOSE_RANGE, err: unix.ENOSYS}}
	case PidfdNonblock:
		return []rule{{call: unix.SYS_PIDFD_OPEN, err: unix.EINVAL, arg: 1, mask: every, any: true}}
	case Landlock:
		return []rule{
			{call: unix.SYS_LANDLOCK_CREATE_RULESET, err: unix.ENOSYS},
			{call: unix.SYS_LANDLOCK_ADD_RULE, err: unix.ENOSYS},
			{call: unix.SYS_LANDLOCK_RESTRICT_SELF, err: unix.ENOSYS},
		}
	case PidfdSignalGroup:
		return []rule{{call: unix.SYS_PIDFD_SEND_SIGNAL, err: unix.EINVAL, arg: 3, mask: every, any: true}}
	case PidfdExitStatus:
		return []rule{{call: unix.SYS_IOCTL, err: unix.ENOTTY, arg: 1, mask: every, want: 0xC040FF0B}}
	case SockDiag:
		return []rule{{call: unix.SYS_SOCKET, err: unix.EPROTONOSUPPORT, arg: 2, mask: every, want: unix.NETLINK_SOCK_DIAG}}
	case CollapseRange:
		return []rule{{call: unix.SYS_FALLOCATE, err: unix.EOPNOTSUPP, arg: 1, mask: unix.FALLOC_FL_COLLAPSE_RANGE, any: true}}
	case TmpFile:
		return []rule{{call: unix.SYS_OPENAT, err: unix.EOPNOTSUPP, arg: 2, mask: unix.O_TMPFILE &^ unix.O_DIRECTORY, any: true}}
	case Inotify:
		return []rule{{call: unix.SYS_INOTIFY_INIT1, err: unix.EMFILE}}
	}
	return nil
}
