package world

import (
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// treeLimits are the limits of all processes of a tree together.
func treeLimits(l config.Limits) limits.Limits {
	return limits.Limits{Memory: uint64(l.Memory), CPU: float64(l.CPU), Tasks: uint64(l.Tasks)}
}

// processLimits are the limits of each process by itself. A dump of memory holds passwords: there is
// none unless the file asks for it.
func processLimits(l config.Limits) []process.Rlimit {
	all := []process.Rlimit{{Resource: unix.RLIMIT_CORE, Cur: uint64(l.Core), Max: uint64(l.Core)}}
	if l.Nofile != 0 {
		all = append(all, process.Rlimit{Resource: unix.RLIMIT_NOFILE, Cur: uint64(l.Nofile), Max: uint64(l.Nofile)})
	}
	return all
}

// Bound sets what all trees of a build may use together.
func (t trees) Bound(build string, l config.Limits, twice bool) error {
	all := treeLimits(l)
	if twice {
		all = all.Twice()
	}
	return t.table.Bound(build, all)
}

// Limit changes what the tree may use.
func (t tree) Limit(l config.Limits) error { return t.SetLimits(treeLimits(l)) }
