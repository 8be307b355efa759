package supervisor

import "golang.org/x/sys/unix"

// descriptorLimit returns how many descriptors this process may open.
func descriptorLimit() int {
	const usual = 1024
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return usual // it cannot be asked: as most systems have it
	}
	return int(min(limit.Cur, 1<<20))
}
