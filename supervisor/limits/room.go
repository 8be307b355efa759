package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Room is where a supervisor makes cgroups with limits. It makes and changes nothing before the first
// limit is asked for.
type Room struct {
	machine *Machine
	v2      string // the folder of the trees' own cgroups in v2; "": they have none
	name    string // of the folder in each hierarchy of v1

	mu    sync.Mutex
	moved bool              // we are in the leaf
	ready [controllers]*way // nil: not prepared yet
	pools map[string][]*Group
}

// way is how a controller is reached.
type way struct {
	dir string // the folder in which cgroups for it are made
	v1  bool
}

// NewRoom returns the room of a supervisor. v2 is the folder of the cgroups of its trees, which is
// below Machine.Base, or "" where they have none. name is that of a folder that nothing else uses.
func NewRoom(m *Machine, v2, name string) *Room { return &Room{machine: m, v2: v2, name: name} }

// Name is the name of its folders.
func (r *Room) Name() string { return r.name }

// prepare finds the way to a controller, and takes it.
func (r *Room) prepare(c controller) (*way, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.ready[c]; w != nil && (w.v1 || has(w.dir, "cgroup.subtree_control", c)) {
		return w, nil
	}
	var w *way
	var err error
	switch m := r.machine; {
	case has(m.V2.Mount, "cgroup.controllers", c):
		w, err = r.prepareV2(c)
	case m.v1[c] != nil:
		w, err = r.prepareV1(c)
	default:
		return nil, lacking(c)
	}
	if err != nil {
		return nil, fmt.Errorf("limits.%s cannot be applied: %w", c.key(), err)
	}
	r.ready[c] = w
	return w, nil
}

const delegate = "run the supervisor as a service with Delegate=yes, or in a container that may write to its cgroup, or leave the limit out"

func (r *Room) prepareV2(c controller) (*way, error) {
	base := r.machine.Base()
	switch {
	case r.v2 == "":
		return nil, fmt.Errorf("the supervisor may not make cgroups in %s: %s", r.machine.V2.Mount, delegate)
	case !has(base, "cgroup.controllers", c):
		return nil, fmt.Errorf("the cgroup controller %v is not delegated to %s: %s", c, base, delegate)
	}
	for _, dir := range []string{base, r.v2} {
		// cpu and pids could be enabled in a cgroup with processes, which would make those below it
		// threaded (cgroups(7)): they would take no processes. The root is free of all that.
		var err error
		if dir == base && !has(dir, "cgroup.subtree_control", c) && isThere(base, "cgroup.type") && !isEmpty(base) {
			if err = r.move(base); err == nil && !isEmpty(base) {
				err = unix.EBUSY
			}
		}
		if err == nil {
			err = enable(dir, c)
		}
		switch {
		case errors.Is(err, unix.EBUSY):
			return nil, fmt.Errorf("%s has processes other than the supervisor: %s", dir, delegate)
		case isDenied(err):
			return nil, fmt.Errorf("the cgroup %s is not the supervisor's to change: %s", dir, delegate)
		case err != nil:
			return nil, err
		}
	}
	return &way{dir: r.v2}, nil
}

// enable enables a controller for the cgroups below dir.
func enable(dir string, c controller) error {
	if has(dir, "cgroup.subtree_control", c) {
		return nil
	}
	if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c.String()); err != nil {
		return fmt.Errorf("enable the cgroup controller %v: %w", c, err)
	}
	return nil
}

// move brings us into the leaf: a cgroup whose controllers limit what is below it has no processes
// itself.
//
// systemd starts a service in the service's own cgroup, which the kernel would refuse while trees of a
// supervisor that was killed have limits below. The unit sees to that (Free), and shows it by the leaf that is there.
func (r *Room) move(base string) error {
	leaf := filepath.Join(base, LeafName)
	if strings.HasSuffix(base, ".service") && !isThere(leaf, "cgroup.procs") {
		return fmt.Errorf("the unit of the service does not make the cgroup %s: it needs the lines ExecStartPre= and ExecStopPost= of the example unit, or from systemd 254 on DelegateSubgroup=%s (docs/running.md)", leaf, LeafName)
	}
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := write(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return err
	}
	r.moved = true
	return nil
}

func (r *Room) prepareV1(c controller) (*way, error) {
	h := r.machine.v1[c]
	if h.Own == "" {
		return nil, fmt.Errorf("the supervisor's cgroup of the controller %v is not in %s: give its container that part of the tree, or leave the limit out", c, h.Mount)
	}
	dir := filepath.Join(h.Own, r.name)
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil, errors.Is(err, fs.ErrExist):
	case isDenied(err), errors.Is(err, unix.EROFS):
		return nil, fmt.Errorf("the supervisor may not make cgroups in %s: run it as root, or give it that folder, or leave the limit out", h.Own)
	default:
		return nil, err
	}
	return &way{dir, true}, nil
}

// Tidy removes the cgroups of v1 that earlier supervisors of the same name left, where no process is
// in them any more.
func (r *Room) Tidy() {
	for _, h := range r.machine.v1 {
		if h == nil || h.Own == "" {
			continue
		}
		dir := filepath.Join(h.Own, r.name)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // there is none
		}
		for _, e := range entries {
			if e.IsDir() {
				remove(filepath.Join(dir, e.Name())) // one in use stays
			}
		}
		unix.Rmdir(dir) // so does that
	}
}

// Close removes what the room has made and nobody uses any more, apart from the folder of v2, which is
// the caller's and must be gone by now.
func (r *Room) Close() {
	r.Tidy()
	r.mu.Lock()
	defer r.mu.Unlock()
	base := r.machine.Base()
	if r.v2 == "" || isThere(r.v2, "cgroup.procs") {
		return // a tree is left, or there was never any
	}
	if filepath.Base(r.machine.V2.Own) != LeafName && !r.moved {
		return
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != LeafName && e.Name() != ".control" {
			return // another supervisor is in the same cgroup
		}
	}
	// What cannot be undone stays: somebody else may have begun it.
	for c := range controllers {
		if w := r.ready[c]; w != nil && !w.v1 && write(filepath.Join(base, "cgroup.subtree_control"), "-"+c.String()) != nil {
			return
		}
	}
	if write(filepath.Join(base, "cgroup.procs"), "0") == nil {
		unix.Rmdir(filepath.Join(base, LeafName))
	}
}

// remove removes a cgroup and those below it. One with live processes stays.
func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // gone
	}
	for _, e := range entries {
		if e.IsDir() {
			remove(filepath.Join(dir, e.Name())) // the last one says why
		}
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// nameOf makes the mark of a tree the name of a folder.
func nameOf(mark string) (string, error) {
	name := strings.ReplaceAll(mark, "/", ":")
	if mark == "" || len(name) > 255 || strings.ContainsAny(mark, ":\n") || strings.HasPrefix(mark, ".") {
		return "", fmt.Errorf("a tree that is marked %q cannot have limits", mark)
	}
	return name, nil
}
