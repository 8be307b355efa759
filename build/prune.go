package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Prune removes releases beyond the b.KeepReleases newest, but none of inUse, and environments that
// no release has any more. What is not ours stays. Environments are left to the next Prune while an
// attempt is running.
func Prune(root string, b config.Build, inUse ...string) error {
	all, err := List(root, b.Name)
	if err != nil {
		return err
	}
	var errs []error
	for i, r := range all {
		if i < len(all)-b.KeepReleases && !slices.Contains(inUse, r.ID) {
			errs = append(errs, discard(r.Dir))
		}
	}
	return errors.Join(append(errs, pruneEnvironments(root, b.Name))...)
}

func pruneEnvironments(root, name string) error {
	venvs := folderOf(root, name).Venvs()
	f, err := os.Open(venvs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list environments: %w", err)
	}
	defer f.Close() // gives the lock back
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // a build may just have found the one it needs
	}
	if err != nil {
		return fmt.Errorf("hold environments: %w", err)
	}
	all, err := List(root, name)
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("list environments: %w", err)
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(venvs, e.Name())
		used := slices.ContainsFunc(all, func(r Release) bool { return r.VenvID == e.Name() })
		if !used && venvID.MatchString(e.Name()) && complete(dir) {
			if err := discard(dir); err != nil {
				errs = append(errs, err)
			} else if err := removeEnvironmentRecord(dir); err != nil {
				errs = append(errs, fmt.Errorf("remove record of environment %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}

// discard removes a folder of ours so that a kill half-way leaves what Tidy removes, never half a
// release.
func discard(dir string) error { return discardBy(os.Rename, dir) }

func discardBy(rename func(from, to string) error, dir string) error {
	doomed := filepath.Join(filepath.Dir(dir), tempPrefix+oldPrefix+filepath.Base(dir))
	err := rename(dir, doomed)
	if errors.Is(err, unix.EXDEV) {
		err = discardInPlace(dir, doomed)
	} else if err == nil {
		err = os.RemoveAll(doomed)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// discardInPlace removes a folder that cannot be renamed: it lies in a lower layer of an overlay file
// system (Documentation/filesystems/overlayfs.rst, redirect_dir). As long as the folder doomed is
// there, Tidy removes what is left of it.
func discardInPlace(dir, doomed string) error {
	if err := os.Mkdir(doomed, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, mark := range []string{layout.Release(dir).Record(), filepath.Join(dir, oldMark), environmentRecordPath(dir)} {
		if err := os.Remove(mark); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir), os.Remove(doomed))
}

// Tidy removes what an attempt or a Prune left when its supervisor was killed: unfinished releases and
// environments, and the processes of their steps. It closes to others what is open to them. A migration
// is not ended half-way: it continues, with its folder and its lock, and the next Tidy removes the
// rest. It is for start-up, when no attempt of that build is running.
func (m *Maker) Tidy(root, name string) error {
	open := narrowFolders(folderOf(root, name))
	if open != nil {
		open = fmt.Errorf("close the folders of %s to others: %w", name, open)
	}
	left, err := leftovers(folderOf(root, name))
	if err = errors.Join(open, err); len(left) == 0 {
		return err
	}
	busy, eerr := endSteps(m.Runner, layout.Root(root), name)
	if busy == nil {
		return errors.Join(err, eerr) // one of the folders may be of a migration
	}
	errs := []error{err, eerr}
	for _, path := range left {
		id, ofCommand := layout.TempCommand(path)
		if busy[path] || ofCommand && busy[unfinished(folderOf(root, name).Release(id).Dir())] {
			continue
		}
		if ofCommand { // it is the mark of a hook
			errs = append(errs, endCommand(m.Runner, folderOf(root, name), path))
		}
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, fmt.Errorf("remove leftover %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func leftovers(dir layout.Build) (left []string, err error) {
	var errs []error
	for _, parent := range []string{dir.Dir(), dir.Releases(), dir.Venvs(), dir.Run()} {
		entries, err := os.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("look for leftovers: %w", err))
		}
		for _, e := range entries {
			path := filepath.Join(parent, e.Name())
			_, ofCommand := layout.TempCommand(path)
			name, temporary := strings.CutPrefix(e.Name(), tempPrefix)
			name = strings.TrimPrefix(name, oldPrefix)
			ours := map[string]bool{
				dir.Dir():      temporary && name == filepath.Base(dir.Current()),
				dir.Releases(): temporary && releaseID.MatchString(name),
				dir.Venvs():    venvID.MatchString(name) && (temporary || !complete(path)) || recordOfNone(parent, name, temporary),
				dir.Run():      ofCommand,
			}
			if !ours[parent] {
				continue
			}
			left = append(left, path)
			if parent == dir.Venvs() && !temporary && venvID.MatchString(name) {
				left = append(left, environmentRecordPath(path))
			}
			if old := filepath.Join(parent, name); strings.HasPrefix(e.Name(), tempPrefix+oldPrefix) && halfRemoved(old) {
				left = append(left, old)
			}
		}
	}
	return left, errors.Join(errs...)
}

// recordOfNone says whether a file in the folder of all environments is a record that was not
// written to its end, or whose environment is gone.
func recordOfNone(venvs, name string, temporary bool) bool {
	id, isRecord := strings.CutSuffix(name, filepath.Ext(environmentRecordPath("")))
	if !isRecord || !venvID.MatchString(id) {
		return false
	}
	_, err := os.Lstat(filepath.Join(venvs, id))
	return temporary || errors.Is(err, fs.ErrNotExist)
}

// halfRemoved says that discardInPlace has begun with a folder.
func halfRemoved(dir string) bool {
	_, err := os.Lstat(layout.Release(dir).Record())
	return errors.Is(err, fs.ErrNotExist) && !complete(dir)
}

// endSteps kills the processes of a build's steps, and returns the folders of those that migrate and
// so are left alone.
func endSteps(r Runner, root layout.Root, name string) (busy map[string]bool, err error) {
	dir := root.Build(name)
	releases, user := dir.Releases(), userOf(dir)
	marks, err := r.Running(filepath.Join(releases, tempPrefix), user)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), afterKill)
	defer cancel()
	busy = map[string]bool{}
	migration, alive := migrates(r, root, name)
	var errs []error
	for _, mark := range marks {
		// The folder alone is the mark where an earlier version of this program started it.
		folder, _, _ := strings.Cut(strings.TrimPrefix(mark, releases+"/"), "/")
		if dir := filepath.Join(releases, folder); alive && dir == migration.Folder || locked(filepath.Join(dir, oldMigratesFile)) {
			busy[dir] = true
		} else {
			errs = append(errs, r.End(ctx, mark, user))
		}
	}
	return busy, errors.Join(errs...)
}

// endCommand kills the processes of a command with that mark.
func endCommand(r Runner, dir layout.Build, mark string) error {
	ctx, cancel := context.WithTimeout(context.Background(), afterKill)
	defer cancel()
	return r.End(ctx, mark, userOf(dir))
}

// userOf is who ran the steps and hooks of a build: whose its data is, as only we can have given it
// away.
func userOf(dir layout.Build) int {
	if data, ok := topOwner(dir.Data()); ok {
		return data.uid
	}
	return os.Geteuid()
}

// oldMigratesFile was locked (flock(2)) by the process that migrates, in the folder of its release,
// by versions of this program that gave it the locks.
const oldMigratesFile = "migrates.lock"

// locked says whether a process holds the lock of a file.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() // gives the lock back
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}
