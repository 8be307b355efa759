package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// controlName is the cgroup in which systemd runs the additional commands of a unit with Delegate=yes.
const controlName = ".control"

// Free lets systemd start the service again that it calls us for, before it does (ExecStartPre=) and
// after it has ended (ExecStopPost=, which is not run in the service's own cgroup). It
// starts a service in the service's own cgroup, and the kernel refuses that while there are limits on
// what goes on below after a supervisor was killed. So these are lifted; the next supervisor moves into
// the leaf, which is made here, and applies them again when it adopts. What its trees use by then does
// not count. A unit with DelegateSubgroup= needs none of this.
func Free() error {
	m, err := Here()
	if err != nil {
		return err
	}
	return m.free()
}

func (m *Machine) free() error {
	if m.V2.Mount == "" {
		return nil // limits are those of v1, which needs none of this
	}
	base := m.V2.Own
	if filepath.Base(base) == controlName {
		base = filepath.Dir(base)
	} else if !strings.HasSuffix(base, ".service") {
		return errors.New("nothing is freed: this is for ExecStartPre= and ExecStopPost= of a service with Delegate=yes")
	}
	if err := os.Mkdir(filepath.Join(base, LeafName), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("free the cgroup of the service: %w", err)
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return fmt.Errorf("free the cgroup of the service: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), "medctrl-") {
			errs = append(errs, disable(filepath.Join(base, e.Name())))
		}
	}
	return errors.Join(append(errs, disable(base))...)
}

// disable disables the controllers of what is below a cgroup.
func disable(dir string) error {
	path := filepath.Join(dir, "cgroup.subtree_control")
	enabled, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var errs []error
	for name := range strings.FieldsSeq(string(enabled)) {
		errs = append(errs, write(path, "-"+name))
	}
	return errors.Join(errs...)
}
