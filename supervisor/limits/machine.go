package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Machine is what cgroups this machine has, and which of them we are in.
type Machine struct {
	V2    Hierarchy               // where there is none, its Mount is ""
	v1    [controllers]*Hierarchy // nil: the controller has none
	procs string                  // our own /proc
}

// Hierarchy is a mounted tree of cgroups.
type Hierarchy struct {
	Mount string
	Own   string // the folder of the cgroup that we are in; "": it is not below Mount
	root  string // the cgroup that is mounted
}

// hierarchy is a tree of which root is mounted at mount, while we are in the cgroup own.
func hierarchy(mount, root, own string) Hierarchy {
	h := Hierarchy{Mount: mount, root: root}
	h.Own = h.of(own)
	return h
}

// of is the folder of a cgroup; "": it is not below what is mounted.
func (h *Hierarchy) of(path string) string {
	rel, err := filepath.Rel(h.root, path)
	if err != nil || path == "" || rel == ".." || strings.HasPrefix(rel, "../") {
		return ""
	}
	return filepath.Join(h.Mount, rel)
}

// Here reads what this machine has.
func Here() (*Machine, error) { return at("", "/proc/self") }

// at reads it from a folder like /proc/self. For tests, everything that is mounted seems to be below
// prefix.
func at(prefix, proc string) (*Machine, error) {
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	ours, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("find our own cgroup: %w", err)
	}
	m := &Machine{procs: proc}
	places := parsePlaces(ours)
	for line := range strings.Lines(string(mounts)) { // proc_pid_mountinfo(5)
		about, kind, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields, kinds := strings.Fields(about), strings.Fields(kind)
		if !ok || len(fields) < 5 || len(kinds) < 3 {
			continue
		}
		root, mount := fields[3], prefix+fields[4]
		switch kinds[0] {
		case "cgroup2":
			m.V2 = hierarchy(mount, root, places[""])
		case "cgroup":
			for c := range controllers {
				if slices.Contains(strings.Split(kinds[2], ","), c.String()) {
					h := hierarchy(mount, root, places[c.String()])
					m.v1[c] = &h
				}
			}
		}
	}
	return m, nil
}

// parsePlaces reads /proc/PID/cgroup: the path of each controller of v1, and of v2 under "".
func parsePlaces(text []byte) map[string]string {
	places := map[string]string{}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			places[name] = parts[2]
		}
	}
	return places
}

// Lacks says, for the first limit of l that this machine has no controller for, that this is so: then
// no supervisor on it can hold it. Whether one may use what is there only its own cgroup tells.
func (m *Machine) Lacks(l Limits) error {
	for c := range controllers {
		if c.of(l) && m.v1[c] == nil && !has(m.V2.Mount, "cgroup.controllers", c) {
			return lacking(c)
		}
	}
	return nil
}

func lacking(c controller) error {
	if c == memory {
		return errors.New("this kernel has no cgroup controller memory: start it with cgroup_enable=memory, or leave limits.memory out")
	}
	return fmt.Errorf("this kernel has no cgroup controller %v: use one that has, or leave limits.%s out", c, c.key())
}

// has reports whether a file that lists controllers has c.
func has(dir, name string, c controller) bool {
	if dir == "" {
		return false
	}
	list, err := os.ReadFile(filepath.Join(dir, name))
	return err == nil && slices.Contains(strings.Fields(string(list)), c.String())
}

// LeafName is the cgroup into which a supervisor moves itself: cgroup v2 limits nothing below a cgroup
// that has processes of its own. A unit may name it as its DelegateSubgroup=.
const LeafName = "medctrl-supervisor"

// Base is the cgroup of v2 below which our own are made: the one that we are in, or were in before we
// moved into the leaf. "": there is none.
func (m *Machine) Base() string {
	if filepath.Base(m.V2.Own) == LeafName && m.V2.Own != m.V2.Mount {
		return filepath.Dir(m.V2.Own)
	}
	return m.V2.Own
}

// write writes into a file of a cgroup, as one piece. The file must be there: in a folder that only
// looks like a cgroup nothing is made.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// isThere reports whether a file of a cgroup is there.
func isThere(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// isEmpty reports whether no process is in that cgroup itself.
func isEmpty(dir string) bool {
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return err == nil && len(strings.TrimSpace(string(procs))) == 0
}

func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }
