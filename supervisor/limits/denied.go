package limits

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Denied says why a supervisor with our rights, and started where we were, could not apply l. It tries
// nothing. Root is never denied: it may well be started elsewhere, as a service.
func (m *Machine) Denied(l Limits) error {
	for c := range controllers {
		if !c.of(l) {
			continue
		}
		dir := m.Base()
		switch {
		case !has(m.V2.Mount, "cgroup.controllers", c):
			if m.v1[c] == nil {
				return lacking(c)
			}
			dir = m.v1[c].Own
		case !has(dir, "cgroup.controllers", c):
			return fmt.Errorf("the cgroup controller %v is not delegated to %s: %s", c, dir, delegate)
		}
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return fmt.Errorf("the cgroup controller %v is not ours to use, in %q: %w: run the supervisor as root, or where it is delegated (Delegate=yes in a unit), or leave the limit out", c, dir, err)
		}
	}
	return nil
}
