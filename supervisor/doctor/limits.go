package doctor

import (
	"os"
	"strings"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// limitsOf says why the limits of a build cannot be applied, and with which key that is. sure is false
// where a supervisor that runs as somebody else may be able to.
func limitsOf(root string, b config.Build, machine *limits.Machine) (key string, why error, sure bool) {
	for _, one := range []struct {
		key   string
		limit limits.Limits
	}{
		{"limits.memory", limits.Limits{Memory: uint64(b.Limits.Memory)}}, {"limits.cpu", limits.Limits{CPU: float64(b.Limits.CPU)}},
		{"limits.tasks", limits.Limits{Tasks: uint64(b.Limits.Tasks)}},
	} {
		if why := machine.Lacks(one.limit); why != nil {
			return one.key, why, true
		}
		if os.Geteuid() == 0 {
			continue
		}
		if why := machine.Denied(one.limit); why != nil {
			return one.key, why, isOurs(root)
		}
	}
	return "", nil, false
}

// isOurs reports whether the supervisor of a root is probably run by us: the root is ours, or not there.
func isOurs(root string) bool {
	info, err := os.Stat(root)
	if err != nil {
		return true
	}
	about, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(about.Uid) == os.Geteuid()
}

// limits says whether the build's limits can be applied.
func (p *patient) limits() Finding {
	const check = "limits"
	groups := p.b.Limits.Groups()
	if groups == nil {
		return Finding{}
	}
	machine, err := limits.Here()
	if err != nil {
		return fail(check, "", "%v", err)
	}
	key, why, sure := limitsOf(p.o.Config.Root, p.b, machine)
	switch {
	case why == nil:
		return ok(check, "the kernel can limit %s", strings.Join(groups, ", "))
	case sure:
		return fail(check, "", "%s: %v", key, why)
	}
	return warn(check, "run doctor as the supervisor's user", "%s: %v", key, why)
}

// lookAtLimits finds limits that cannot be applied.
func lookAtLimits(c *config.Config) (wrong, warnings config.Errors) {
	for _, b := range c.Builds {
		if b.Limits.Groups() == nil {
			continue
		}
		machine, err := limits.Here()
		if err != nil {
			return wrong, warnings // there is no /proc, which others say
		}
		switch key, why, sure := limitsOf(c.Root, b, machine); {
		case why == nil:
		case sure:
			wrong = append(wrong, c.Wrong(b.Name, key, "%s: %v", key, why))
		default:
			warnings = append(warnings, c.Wrong(b.Name, key, "%s: %v", key, why))
		}
	}
	return wrong, warnings
}
