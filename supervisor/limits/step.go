package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// controlName is the cgroup in which systemd runs the additional commands of a unit with Delegate=yes.
const controlName = ".control"

// Free lets systemd start again the service that it calls us for. systemd starts a service in the
// service's own cgroup, and after a supervisor was killed the kernel refuses that while what is still
// running below has limits. So ExecStopPost= lifts them: systemd runs it in another cgroup. The next
// supervisor applies them again when it adopts; the memory in use by then does not count.
//
// ExecStartPre= is run in the service's own cgroup, so it cannot help there. It makes the leaf, by which
// the supervisor knows that its unit calls us. A unit with DelegateSubgroup= needs none of this.
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
	if err := makeLeaf(base); err != nil {
		return fmt.Errorf("free the cgroup of the service: %w", err)
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return fmt.Errorf("free the cgroup of the service: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), "medctrl-") {
			errs = append(errs, disableAll(filepath.Join(base, e.Name())))
		}
	}
	return errors.Join(append(errs, disable(base))...)
}

// makeLeaf makes the leaf. We run as root, and a service with User= must be able to enter it: systemd
// has given base to that user.
func makeLeaf(base string) error {
	leaf := filepath.Join(base, LeafName)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(base, &st); err != nil {
		return err
	}
	for _, path := range []string{leaf, filepath.Join(leaf, "cgroup.procs")} {
		if err := os.Lchown(path, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// disableAll does so in the cgroup of a supervisor's trees and in its pools, which come first: what is
// enabled below stays enabled.
func disableAll(dir string) error {
	pools, err := filepath.Glob(filepath.Join(dir, poolPrefix+"*"))
	errs := []error{err}
	for _, pool := range pools {
		if err := disable(pool); !errors.Is(err, fs.ErrNotExist) { // else it has gone meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, disable(dir))...)
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
