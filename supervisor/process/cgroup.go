package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// cgroups are folders of the cgroup v2 tree that hold a cgroup for each child, named after its mark
// (cgroups(7)). With the zero value children get none.
type cgroups struct {
	own string   // where new ones are made, or ""
	all []string // own, and those of the same name that an earlier supervisor left elsewhere
}

// UseCgroups gives each child that has a Mark and is started from now on a cgroup of its own:
// whatever its tree does, it cannot leave that, so Tree, SignalTree and End miss no process, not
// even a process that wiped its environment and left its session and its parent. They are made in a
// folder called name below our own cgroup, which must be used by nothing else; End removes a
// child's, Close the folder, where it is empty. What Adopt and Remains are asked for is looked for
// in every folder of that name, in case an earlier supervisor ran in another cgroup. To find those
// takes some 30 µs for each cgroup of the machine: a caller that has the Cgroups of the table
// before, of which none can be missing, passes them as known.
//
// The error wraps errors.ErrUnsupported where there is no cgroup v2 or it is not ours to write;
// then everything is as without. Call it before the first Spawn, Adopt or Remains.
func (t *Table) UseCgroups(name string, known ...string) error {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("use cgroups: %q is no name for a folder", name)
	}
	machine, err := limits.Here()
	if err != nil {
		return fmt.Errorf("use cgroups: %w", err)
	}
	t.room = limits.NewRoom(machine, "", name)
	defer func() { t.room.Tidy() }()
	switch base := machine.Base(); {
	case machine.V2.Mount == "":
		return fmt.Errorf("use cgroups: cgroup v2 is not mounted: %w", errors.ErrUnsupported)
	case base == "":
		return fmt.Errorf("use cgroups: our own cgroup is not below %s: %w", machine.V2.Mount, errors.ErrUnsupported)
	default:
		err = t.useCgroups(machine.V2.Mount, filepath.Join(base, name), known)
	}
	t.room = limits.NewRoom(machine, t.cgroups.own, name)
	return err
}

// useCgroups makes them in the folder own of the tree that is mounted at mount.
func (t *Table) useCgroups(mount, own string, known []string) error {
	name := filepath.Base(own)
	if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("use cgroups: %w (%w)", errors.ErrUnsupported, err)
	}
	// A threaded or invalid one takes no processes.
	if kind, err := os.ReadFile(filepath.Join(own, "cgroup.type")); err != nil || string(bytes.TrimSpace(kind)) != "domain" {
		return fmt.Errorf("use cgroups: %s is of type %q: %w", own, bytes.TrimSpace(kind), errors.ErrUnsupported)
	}
	if !ours(own) {
		return fmt.Errorf("use cgroups: %s belongs to another user: %w", own, errors.ErrUnsupported)
	}
	t.cgroups.own, t.cgroups.all = own, []string{own}
	defer t.cgroups.dropEmptyTasks()
	if len(known) > 0 {
		for _, path := range known {
			if filepath.Base(path) == name && path != own && ours(path) {
				t.cgroups.all = append(t.cgroups.all, path)
			}
		}
		return nil
	}
	return filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil: // gone meanwhile, or not ours to see
			return fs.SkipDir
		case !d.IsDir():
			return nil
		case d.Name() == name:
			if path != own && ours(path) {
				t.cgroups.all = append(t.cgroups.all, path)
			}
			return fs.SkipDir
		}
		return nil
	})
}

// Cgroups are the folders of the children's cgroups, for UseCgroups of a program that is executed
// in our place.
func (t *Table) Cgroups() []string { return slices.Clone(t.cgroups.all) }

// FindCgroups returns the marks of the trees that have a cgroup: after a supervisor was killed, of
// those that run and of some that are gone. End of what Adopt or Remains made of each removes it.
func (t *Table) FindCgroups() []string {
	var marks []string
	for tag := range t.cgroups.each() {
		if !strings.HasPrefix(tag, taskPrefix) {
			marks = append(marks, tag)
		}
	}
	return marks
}

// each yields the tag and the folder of each tree that has a cgroup.
func (g *cgroups) each() iter.Seq2[string, string] {
	return func(yield func(tag, dir string) bool) {
		for _, parent := range g.all {
			entries, err := os.ReadDir(parent)
			if err != nil {
				continue // gone meanwhile
			}
			for _, e := range entries {
				dir := filepath.Join(parent, e.Name())
				if !e.IsDir() || !ours(dir) {
					continue
				}
				if _, pool := limits.PoolOf(dir); !pool {
					if !yield(tagOf(e), dir) {
						return
					}
					continue
				}
				inside, err := os.ReadDir(dir)
				if err != nil {
					continue // gone meanwhile
				}
				for _, e := range inside {
					if dir := filepath.Join(dir, e.Name()); e.IsDir() && ours(dir) && !yield(tagOf(e), dir) {
						return
					}
				}
			}
		}
	}
}

// tagOf is the tag of the tree whose cgroup is called so.
func tagOf(e fs.DirEntry) string { return strings.ReplaceAll(e.Name(), ":", "/") }

// ours reports whether a folder belongs to the user that we run as. Somebody with a cgroup of his own,
// as systemd gives each user, can make any name in it, and his processes are there.
func ours(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == os.Geteuid()
}

// members returns the mark of each process that is in one of these cgroups. Nobody else can put a
// process there.
func (g *cgroups) members() map[int]string {
	all := map[int]string{}
	for tag, dir := range g.each() {
		if strings.HasPrefix(tag, taskPrefix) {
			continue
		}
		for _, pid := range cgroupPids(dir) {
			all[pid] = tag
		}
	}
	return all
}

// dropEmptyTasks removes the cgroups of tasks that ended after their supervisor was killed: it may
// be that no one ever asks for them by name. Those of generations are kept, because FindCgroups
// returns them. Pools without any go too.
func (g *cgroups) dropEmptyTasks() {
	defer g.dropEmptyPools()
	for tag, dir := range g.each() {
		if strings.HasPrefix(tag, taskPrefix) {
			removeCgroup(dir) // which fails, and rightly, where a process is left
		}
	}
}

func (g *cgroups) dropEmptyPools() {
	for _, parent := range g.all {
		entries, err := os.ReadDir(parent)
		if err != nil {
			continue // gone meanwhile
		}
		for _, e := range entries {
			limits.DropPool(filepath.Join(parent, e.Name(), "any"))
		}
	}
}

// cgroupName is what the cgroup of a tree is called, or "" where the mark makes no name.
func cgroupName(mark string) string {
	name := strings.ReplaceAll(mark, "/", ":")
	if mark == "" || len(name) > 255 || strings.ContainsAny(mark, ":\n") || strings.HasPrefix(mark, ".") {
		return ""
	}
	return name
}

// make makes the cgroup of a child, in a pool where within names one. It is "" where it gets none.
func (g *cgroups) make(mark, within string) (dir string, err error) {
	name := cgroupName(mark)
	if g.own == "" || name == "" {
		return "", nil
	}
	if dir, err = limits.MakeFolder(g.own, within, name); err != nil {
		return "", err
	}
	return dir, nil
}

// openCgroup opens dir for CLONE_INTO_CGROUP (clone(2)), or its cgroup.procs, for a process to
// enter by writing 0.
func openCgroup(dir string, procs bool) (int, error) {
	if procs {
		return unix.Open(filepath.Join(dir, "cgroup.procs"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	}
	return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// find returns the cgroup that the tree with that mark has, or "".
func (g *cgroups) find(mark string) string {
	name := cgroupName(mark)
	if name == "" {
		return ""
	}
	for _, parent := range g.all {
		if dir := limits.FindFolder(parent, mark, name); dir != "" && ours(dir) {
			return dir
		}
	}
	return ""
}

// eachCgroup calls f for dir and the cgroups below it, which a tree with the right may have made,
// the deepest first.
func eachCgroup(dir string, f func(dir string)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // gone
	}
	for _, e := range entries {
		if e.IsDir() {
			eachCgroup(filepath.Join(dir, e.Name()), f)
		}
	}
	f(dir)
}

// cgroupPids are the live processes in dir and below, without zombies.
func cgroupPids(dir string) (pids []int) {
	if dir == "" {
		return nil
	}
	eachCgroup(dir, func(dir string) {
		procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return // gone
		}
		for line := range strings.Lines(string(procs)) {
			if pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	})
	return pids
}

// isEmptyCgroup reports whether the kernel says that no process is alive in dir and below.
func isEmptyCgroup(dir string) bool {
	events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return err == nil && bytes.Contains(events, []byte("populated 0\n"))
}

// killCgroup kills all processes in dir and below at once, also those being forked meanwhile
// (cgroup.kill, Linux 5.14). Where the kernel cannot, the tree is killed one by one, as without a
// cgroup.
func killCgroup(dir string) {
	if fd, err := unix.Open(filepath.Join(dir, "cgroup.kill"), unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		unix.Write(fd, []byte("1"))
		unix.Close(fd)
	}
}

// removeCgroup removes dir and what is below, and its pool with the last one in it. A cgroup with live
// processes stays.
func removeCgroup(dir string) error {
	defer limits.DropPool(dir)
	var last error
	eachCgroup(dir, func(dir string) {
		if last = unix.Rmdir(dir); last == unix.ENOENT {
			last = nil
		}
	})
	return last
}
