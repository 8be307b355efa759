package limits

import (
	"fmt"
	"strconv"
)

// Limits are what a tree of processes may use. Zero is no limit.
type Limits struct {
	Memory uint64  // bytes
	CPU    float64 // processors
	Tasks  uint64  // processes and threads
}

// Count is how many limits there are.
func (l Limits) Count() int {
	n := 0
	for c := range controllers {
		if c.of(l) {
			n++
		}
	}
	return n
}

// controller is one of the kernel's.
type controller int

const (
	memory controller = iota
	cpu
	pids
	controllers // how many there are
)

func (c controller) String() string { return [...]string{"memory", "cpu", "pids"}[c] }

// key is the limit that needs the controller.
func (c controller) key() string { return [...]string{"memory", "cpu", "tasks"}[c] }

// of reports whether l has a limit that needs the controller.
func (c controller) of(l Limits) bool {
	return [...]bool{l.Memory != 0, l.CPU != 0, l.Tasks != 0}[c]
}

// file is one that is written to set a limit.
type file struct {
	name, value string
	optional    bool // it is not there where the kernel was built or started without it
}

// period is what a limit of processors counts in, the kernel's default: within each, a tree may run
// for so many microseconds.
const period = 100_000

// leastQuota is the least that the kernel takes.
const leastQuota = 1000

// files are what is written into a cgroup of v2, in this order. together is "1" where the kernel is to
// kill all that is in it at once.
func (c controller) files(l Limits, together string) []file {
	switch c {
	case memory:
		swap := unlimited
		if l.Memory != 0 {
			swap = "0" // a tree at its limit would take the disk from all others
		}
		return []file{
			{"memory.oom.group", together, true}, // before Linux 4.19 a single process is killed
			{"memory.swap.max", swap, true},
			{"memory.high", unlimited, false}, // the brake sets it
			{"memory.max", number(l.Memory), false},
		}
	case cpu:
		return []file{{"cpu.max", quota(l.CPU, unlimited) + " " + strconv.Itoa(period), false}}
	}
	return []file{{"pids.max", number(l.Tasks), false}}
}

// filesV1 are what is written into a cgroup of v1, in this order. The limit of memory with swap can
// never be below that of memory alone, so whichever goes first fails in one of the two directions.
func (c controller) filesV1(l Limits) []file {
	switch c {
	case memory:
		limit := "-1"
		if l.Memory != 0 {
			limit = strconv.FormatUint(l.Memory, 10)
		}
		return []file{
			{"memory.memsw.limit_in_bytes", limit, true},
			{"memory.limit_in_bytes", limit, false},
			{"memory.memsw.limit_in_bytes", limit, true},
		}
	case cpu:
		return []file{
			{"cpu.cfs_period_us", strconv.Itoa(period), false},
			{quotaV1, quota(l.CPU, "-1"), false},
		}
	}
	return []file{{"pids.max", number(l.Tasks), false}}
}

const (
	unlimited = "max"
	quotaV1   = "cpu.cfs_quota_us"
)

func number(n uint64) string {
	if n == 0 {
		return unlimited
	}
	return strconv.FormatUint(n, 10)
}

func quota(cores float64, none string) string {
	if cores == 0 {
		return none
	}
	return strconv.Itoa(max(leastQuota, int(cores*period)))
}

// Twice is the double of each.
func (l Limits) Twice() Limits { return Limits{2 * l.Memory, 2 * l.CPU, 2 * l.Tasks} }

// Size writes a number of bytes as a person would: "512M".
func Size(n uint64) string {
	const units = "KMGT"
	for i := len(units) - 1; i >= 0; i-- {
		if unit := uint64(1) << (10 * (i + 1)); n != 0 && n%unit == 0 {
			return fmt.Sprintf("%d%c", n/unit, units[i])
		}
	}
	return strconv.FormatUint(n, 10)
}
