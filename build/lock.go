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
	"time"
	"unique"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// sourceLocks returns the files that are there while a version control system writes what b is made
// of: git's index.lock, also of a worktree and of submodules, and Mercurial's wlock. git makes it
// before a checkout, a merge or a pull changes the first file, and removes it after the last
// (git's lockfile.h). Most of the folders hold no repository; one may come.
func sourceLocks(b config.Build) []string {
	var all []string
	for _, dir := range []string{b.Source, b.AppPath()} {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue // an attempt says so
		}
		for below := dir; ; dir, below = filepath.Dir(dir), dir {
			if !ofStranger(b, dir, below, ".git") {
				repository := repositoryIn(dir)
				all = append(all, filepath.Join(repository, "index.lock"))
				all = append(all, moduleLocks(filepath.Join(repository, "modules"))...)
			}
			if !ofStranger(b, dir, below, ".hg") {
				all = append(all, filepath.Join(dir, ".hg", "wlock"))
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	shared := make([]string, len(all))
	for i, path := range all {
		shared[i] = unique.Make(path).Value() // of a thousand builds most are the same
	}
	return shared
}

// ofStranger reports whether a repository above a source is of somebody who has no say in that: where
// everybody may make files and nobody may replace those of others, as in /tmp, anyone could make one,
// whose settings name programs for git to run and whose lock would be waited for. Elsewhere whoever made
// it could have put another source there as well. below is what leads from dir to the source.
func ofStranger(b config.Build, dir, below, name string) bool {
	var folder, repository, next unix.Stat_t
	if unix.Lstat(filepath.Join(dir, name), &repository) != nil || unix.Lstat(dir, &folder) != nil || folder.Mode&unix.S_ISVTX == 0 {
		return false
	}
	if owner := int(repository.Uid); owner == 0 || owner == os.Geteuid() || repository.Uid == folder.Uid ||
		below != dir && unix.Lstat(below, &next) == nil && repository.Uid == next.Uid {
		return false
	}
	as, err := config.IdentityOf(b)
	return err != nil || as.UID != int(repository.Uid)
}

// repositoryIn returns git's own folder of a work tree at dir, as if that were one.
func repositoryIn(dir string) string {
	path := filepath.Join(dir, ".git")
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return path
	}
	// gitrepository-layout(5): a file that says where it is.
	text, err := inputs.ReadText(inputs.Anywhere, path)
	to, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: ")
	switch {
	case err != nil || !ok:
		return path // of something else
	case filepath.IsAbs(to):
		return to
	}
	return filepath.Join(dir, to)
}

// moduleDepth bounds how deep submodules are looked for: they are called by their path.
const moduleDepth = 4

// moduleLocks returns the locks of the submodules that are kept in dir, and of theirs.
func moduleLocks(dir string) (all []string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // there are none, or we may not look
		}
		rel, _ := filepath.Rel(dir, path) // path begins with dir
		switch {
		case !d.IsDir():
			return nil
		case path != dir && isRepository(path):
			all = append(all, filepath.Join(path, "index.lock"))
			all = append(all, moduleLocks(filepath.Join(path, "modules"))...)
			return filepath.SkipDir
		case strings.Count(rel, string(filepath.Separator)) >= moduleDepth:
			return filepath.SkipDir
		}
		return nil
	})
	return all
}

func isRepository(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "HEAD"))
	return err == nil
}

const (
	// lockPoll is how often a lock is looked at: its end has no event that reaches us everywhere.
	lockPoll = 200 * time.Millisecond
	// staleLock is how old a lock must be, with the application unchanged meanwhile, to count as left
	// behind by a program that died.
	staleLock = 10 * time.Minute
	// stalePoll is how often an application is looked through for changes meanwhile.
	stalePoll = 10 * time.Second
)

// errBeingWritten says that the source was being written while it was copied.
var errBeingWritten = errors.New("the source is being written by a version control system")

// heldLock returns the lock that is there of those that write the source of b; "" if there is none.
func heldLock(b config.Build) string {
	for _, path := range sourceLocks(b) {
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// untilWritten waits while a version control system writes the source. A lock that was left behind
// is remarked, and returned as ignored.
func (m *Maker) untilWritten(ctx context.Context, r Request) (ignored string, err error) {
	said := ""
	var looked time.Time
	for {
		lock := heldLock(r.Build)
		if lock == "" {
			return "", nil
		}
		if now := time.Now(); now.Sub(looked) >= stalePoll {
			looked = now
			if stale(ctx, r.Build, lock, now) {
				r.remark(fmt.Sprintf("%s is there although nothing has changed for %v: it seems to be left behind by a program that died, "+
					"so builds go on. Remove it when no git or hg is running there", lock, staleLock))
				return lock, nil
			}
		}
		if lock != said && r.Progress != nil {
			said = lock
			r.Progress(Progress{Step: "waiting until " + lock + " is gone: the source is being written"})
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return "", ctx.Err()
		}
	}
}

// stale reports whether neither the lock nor anything of the application has changed for long.
func stale(ctx context.Context, b config.Build, lock string, now time.Time) bool {
	old := func(info fs.FileInfo, err error) bool { return err != nil || now.Sub(info.ModTime()).Abs() > staleLock }
	if !old(os.Lstat(lock)) {
		return false
	}
	app, err := inputs.Resolved(b)
	if err != nil {
		return true // an attempt says so
	}
	quiet := true
	_ = filepath.WalkDir(app, func(_ string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return ctx.Err() // it has gone meanwhile
		case !old(d.Info()):
			quiet = false
			return fs.SkipAll
		}
		return ctx.Err()
	})
	return quiet
}

// remark tells people of something that is no reason to make no release.
func (r Request) remark(text string) {
	if r.Remark != nil {
		r.Remark(text)
	}
}
