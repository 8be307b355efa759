package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// MakeData makes the data folder of a build that runs as as, where it is missing. One that is there
// keeps its mode, but for its owner's right to use it, and its owner, whose change is Own's.
func MakeData(path string, as config.Identity) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return MakeFolder(path, 0o700, -1, -1)
	}
	return MakeFolder(path, 0o750, as.UID, as.GID)
}

// owner is a user and a group by number.
type owner struct{ uid, gid int }

func (o owner) String() string { return fmt.Sprintf("%d:%d", o.uid, o.gid) }

// ownerOfAll is whose a build's data is, for a build that runs as as.
func ownerOfAll(as config.Identity) owner {
	o := owner{os.Geteuid(), os.Getegid()}
	if as.UID >= 0 {
		o.uid = as.UID
	}
	if as.GID >= 0 {
		o.gid = as.GID
	}
	return o
}

// topOwner returns the owner of a folder itself; false where there is no folder.
func topOwner(path string) (owner, bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return owner{}, false
	}
	return owner{int(st.Uid), int(st.Gid)}, true
}

// ownerChanged says whether the build's data belongs to another user or group than the build runs
// as. Where it runs as ourselves, who may use it all, that counts only where an earlier release ran
// as the other: else somebody else has given the folder away.
func (j *job) ownerChanged() bool {
	now, ok := topOwner(j.dir.Data())
	want := ownerOfAll(j.as)
	if os.Geteuid() != 0 || !ok || now == want {
		return false
	}
	return j.as.UID >= 0 || j.as.GID >= 0 ||
		slices.ContainsFunc(j.all, func(r Release) bool { return r.RanAs == now.String() })
}

// ranAsOther says that the release before was made by another user or group than this one.
func (j *job) ranAsOther() bool {
	return os.Geteuid() == 0 && j.before != nil && j.before.RanAs != "" && j.before.RanAs != ownerOfAll(j.as).String()
}

// stepOwner carries a change of the build's user or group through. It comes before the first step
// that runs the application as the new user.
func (j *job) stepOwner(ctx context.Context) (bool, error) {
	return false, Own(ctx, j.Root, j.b.Name, j.as, j.serves())
}

// serves is the release that the link to the current one leads to; "" where there is none.
func (j *job) serves() string {
	to, err := os.Readlink(j.dir.Current())
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// ownOnly carries a change of the build's user or group through where there is no release to make.
func (j *job) ownOnly(ctx context.Context) error {
	if !j.ownerChanged() {
		return nil
	}
	p := Progress{Step: "owner", N: 1, Of: 1}
	j.say(p)
	if _, err := j.stepOwner(ctx); err != nil {
		return err
	}
	p.Done = true
	j.say(p)
	return nil
}

// Own gives what lies below a build's folder to whom it runs as: data/ with all that is in it to
// the user and group, releases and environments to us and the group. The releases of except stay as
// they are, with their environments: what runs from them may be somebody else still. What belongs to
// its owner already costs a look. Only root can give files away: for any other user it does nothing.
//
// Links are not followed, other file systems not entered, and a second name of somebody else's file
// is left alone: who owned the folder until now may have put them there.
func Own(ctx context.Context, root, name string, as config.Identity, except ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, all := folderOf(root, name), ownerOfAll(as)
	ours := owner{os.Geteuid(), all.gid}
	err := give(ctx, dir.Data(), all)
	releases, lerr := List(root, name)
	if err = errors.Join(err, lerr); err != nil {
		return fmt.Errorf("change the owner of %s: %w", name, err)
	}
	var keep []string
	for _, r := range releases {
		if slices.Contains(except, r.ID) {
			keep = append(keep, r.Venv)
		}
	}
	for _, r := range releases {
		if !slices.Contains(except, r.ID) {
			err = errors.Join(err, give(ctx, r.Dir, ours))
		}
		if !slices.Contains(keep, r.Venv) {
			err = errors.Join(err, give(ctx, r.Venv, ours))
		}
	}
	if err != nil {
		return fmt.Errorf("change the owner of %s: %w", name, err)
	}
	return nil
}

// OwnRelease gives what a release needs that is about to run as as: its folder and environment, as Own
// does, and the data folder.
func OwnRelease(ctx context.Context, r Release, data string, as config.Identity) error {
	if os.Geteuid() != 0 {
		return nil
	}
	all := ownerOfAll(as)
	ours := owner{os.Geteuid(), all.gid}
	var err error
	if as.UID < 0 && as.GID < 0 {
		// A server of root's lacks the capabilities by which we could use what is another's. A group to which
		// something was given is left alone, and a data folder that can be used.
		for _, dir := range []string{r.Dir, r.Venv, data} {
			if now, ok := topOwner(dir); ok && now.uid != ours.uid && !(dir == data && writableByUs(dir)) {
				err = errors.Join(err, give(ctx, dir, ours))
			}
		}
	} else {
		err = errors.Join(give(ctx, r.Dir, ours), give(ctx, r.Venv, ours), give(ctx, data, all))
	}
	if err != nil {
		return fmt.Errorf("change the owner of release %s: %w", r.ID, err)
	}
	return nil
}

// writableByUs says that root can write a folder of somebody else's without any capability.
func writableByUs(dir string) bool {
	var st unix.Stat_t
	if unix.Lstat(dir, &st) != nil {
		return false
	}
	const all = 0o7
	return st.Mode&all == all || int(st.Gid) == os.Getegid() && st.Mode>>3&all == all
}

// give gives a folder with all that is in it to o. The folder itself comes last: one that belongs to
// o is done.
func give(ctx context.Context, dir string, o owner) error {
	before, ok := topOwner(dir)
	if !ok || before == o {
		return nil // a link leads elsewhere, which is not ours to give
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close() // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	g := giver{ctx: ctx, to: o, from: before.uid, dev: st.Dev}
	if err := g.inside(f, 0); err != nil {
		return err
	}
	return f.Chown(o.uid, o.gid)
}

// giver gives files away.
type giver struct {
	ctx  context.Context
	to   owner
	from int    // the user who owned the top until now
	dev  uint64 // the file system that is not left
}

// deepest bounds how many folders are open at once.
const deepest = 200

// inside gives away all that is in an open folder.
func (g *giver) inside(dir *os.File, depth int) error {
	if err := context.Cause(g.ctx); err != nil {
		return err
	}
	if depth > deepest {
		return fmt.Errorf("%s: it is more than %d folders deep", dir.Name(), deepest)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := g.one(dir, name, depth); err != nil && !errors.Is(err, fs.ErrNotExist) { // what runs may remove it
			return err
		}
	}
	return nil
}

func (g *giver) one(dir *os.File, name string, depth int) error {
	path := filepath.Join(dir.Name(), name)
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	foreign := kind != unix.S_IFDIR && st.Nlink > 1 && int(st.Uid) != g.from && int(st.Uid) != g.to.uid
	if st.Dev != g.dev || foreign {
		return nil
	}
	if kind == unix.S_IFDIR {
		in, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: path, Err: err}
		}
		sub := os.NewFile(uintptr(in), path)
		err = g.inside(sub, depth+1)
		sub.Close() // nothing was written
		if err != nil {
			return err
		}
	}
	if (owner{int(st.Uid), int(st.Gid)}) == g.to {
		return nil
	}
	if err := unix.Fchownat(fd, "", g.to.uid, g.to.gid, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	return nil
}
