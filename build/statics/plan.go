package statics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// plan is what has to be done so that STATIC_ROOT holds the files of a release.
type plan struct {
	Request
	now  record            // what is there
	want map[string]placed // what is to be there
	dir  string            // STATIC_ROOT without links
	like fs.FileInfo       // of that folder

	put   []string        // of want, what is missing or differs
	drop  []string        // what was put there and is not wanted any more
	right map[string]bool // of want, what is as it should be
	whole bool            // a new folder is ready at next
	next  uint64          // its inode
}

// nextSuffix ends the name of the folder, next to STATIC_ROOT or in it, in which files are prepared.
const nextSuffix = ".medctrl-next"

func (p *plan) base() string { return filepath.Base(p.dir) }

// nextTo is the name of the folder that is prepared next to STATIC_ROOT.
func (p *plan) nextTo() string { return "." + p.base() + nextSuffix }

// changes says whether anything has to be done but to the record.
func (p *plan) changes() bool { return len(p.put)+len(p.drop) > 0 }

// after is the record of what is there when the plan has come true.
func (p *plan) after() record {
	return record{Root: p.Root, Release: p.Release, Files: p.want}
}

// between is the record for as long as that is not certain.
func (p *plan) between() record {
	all := map[string]placed{}
	for path, f := range p.now.Files {
		all[path] = f
	}
	for path, f := range p.want {
		all[path] = f
	}
	return record{Root: p.Root, Next: p.next, Files: all}
}

// stage makes a plan and prepares it, as a new folder if exchange allows that and it is possible.
func stage(ctx context.Context, r Request, exchange bool) (*plan, error) {
	p := &plan{Request: r}
	release := r.Build.Release(r.Release)
	list, err := read(release.StaticList())
	if err != nil { // somebody removed or damaged it: the files are what counts
		if list, _, err = Look(ctx, release.Static()); err != nil {
			return nil, err
		}
	}
	if p.now, err = readRecord(r.Build, r.Root); err != nil {
		return nil, err
	}
	p.want = p.wanted(list)
	if err := with(r.As, func() error { return p.prepare(ctx, exchange) }); err != nil {
		return nil, err
	}
	return p, nil
}

// wanted returns the files of a release, and those that earlier releases served with, as long as
// these are kept: pages that are still open may ask for them.
func (p *plan) wanted(list List) map[string]placed {
	want, folders := map[string]placed{}, map[string]bool{}
	for path, f := range list {
		want[path] = placed{File: f, Release: p.Release}
		for dir := filepath.Dir(path); dir != "." && !folders[dir]; dir = filepath.Dir(dir) {
			folders[dir] = true
		}
	}
	kept := map[string]bool{}
	for path, f := range p.now.Files {
		if _, ok := kept[f.Release]; !ok {
			_, err := os.Stat(p.Build.Release(f.Release).Record())
			kept[f.Release] = err == nil
		}
		if _, newer := want[path]; !newer && kept[f.Release] && !folders[path] && !below(path, list) {
			want[path] = f
		}
	}
	return want
}

// below says whether a file of the list is where the path needs a folder.
func below(path string, list List) bool {
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if _, file := list[dir]; file {
			return true
		}
	}
	return false
}

// prepare compares the folder with what is wanted and makes ready what it lacks.
func (p *plan) prepare(ctx context.Context, exchange bool) (err error) {
	if err := makeFolder(p.Root); err != nil {
		return err
	}
	if p.dir, err = filepath.EvalSymlinks(p.Root); err != nil {
		return err
	}
	if p.like, err = os.Lstat(p.dir); err != nil {
		return err
	}
	if err := p.tidy(); err != nil {
		return err
	}
	foreign, err := p.compare(ctx)
	if err != nil || !p.changes() {
		return err
	}
	if exchange && len(p.put) > 0 && !foreign && !mounted(p.dir) {
		if p.whole, err = p.prepareFolder(ctx); p.whole || err != nil {
			return err
		}
	}
	return p.prepareFiles(ctx)
}

// compare looks at what is in the folder. foreign says that something is there that was not put
// there.
func (p *plan) compare(ctx context.Context) (foreign bool, err error) {
	p.right = map[string]bool{}
	there := map[string]bool{}
	err = filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody else removes their files
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if device(info) != device(p.like) {
				foreign = true
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(p.dir, path)
		if err != nil {
			return err
		}
		was, ours := p.now.Files[rel]
		f, wanted := p.want[rel]
		if ours {
			there[rel] = true
		} else if !wanted {
			foreign = true
		}
		same := ours && info.Mode().IsRegular() && info.Size() == was.Size && info.ModTime().UnixNano() == was.Modified
		if wanted && same && was.Sum == f.Sum && was.Mode == f.Mode {
			p.right[rel] = true
			f.Modified = was.Modified
			p.want[rel] = f
		}
		return nil
	})
	for path, f := range p.want {
		switch {
		case p.right[path]:
		case f.Release != p.Release && !p.kept(f.Release, path):
			delete(p.want, path) // nobody has it any more
		default:
			p.put = append(p.put, path)
		}
	}
	for path := range there {
		if _, wanted := p.want[path]; !wanted {
			p.drop = append(p.drop, path)
		}
	}
	slices.Sort(p.put)
	slices.Sort(p.drop)
	return foreign, err
}

// prepareFolder makes a new folder next to the present one, with all that is wanted. It returns
// false where there cannot be one that could take its place.
func (p *plan) prepareFolder(ctx context.Context) (ready bool, err error) {
	parent, err := os.OpenRoot(filepath.Dir(p.dir))
	if err != nil {
		return false, nil // file by file it may be possible
	}
	defer parent.Close()
	next := p.nextTo()
	if err := parent.Mkdir(next, 0o700); err != nil {
		return false, nil // the parent may be somebody else's
	}
	defer func() {
		if !ready {
			parent.RemoveAll(next) // a later attempt removes it otherwise
		}
	}()
	if !p.alike(parent, next) {
		return false, nil
	}
	info, err := parent.Lstat(next)
	if err != nil {
		return false, err
	}
	p.next = info.Sys().(*syscall.Stat_t).Ino
	for path := range p.want {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		to := filepath.Join(next, path)
		if err := p.folders(parent, filepath.Dir(to)); err != nil {
			return false, err
		}
		// As one file under two names, what did not change keeps its time of change and takes no room.
		if p.right[path] && parent.Link(filepath.Join(p.base(), path), to) == nil {
			continue
		}
		if err := p.copy(parent, path, to); err != nil {
			return false, err
		}
	}
	return true, nil
}

// alike gives a new folder the owner, group and mode of the present one. It returns false where that
// is not possible, or where the present one has more than these, an access control list say.
func (p *plan) alike(parent *os.Root, name string) bool {
	if size, err := unix.Llistxattr(p.dir, nil); err == nil && size > 0 {
		names := make([]byte, size)
		n, err := unix.Llistxattr(p.dir, names)
		if err != nil || strings.Trim(strings.ReplaceAll(string(names[:n]), "security.selinux", ""), "\x00") != "" {
			return false
		}
	}
	was, ok := p.like.Sys().(*syscall.Stat_t)
	if !ok || parent.Lchown(name, int(was.Uid), int(was.Gid)) != nil {
		return false
	}
	if parent.Chmod(name, p.like.Mode()) != nil {
		return false
	}
	info, err := parent.Lstat(name)
	if err != nil {
		return false
	}
	is := info.Sys().(*syscall.Stat_t)
	return is.Uid == was.Uid && is.Gid == was.Gid && is.Dev == was.Dev && info.Mode() == p.like.Mode()
}

// prepareFiles copies what has to be put in place into a folder in STATIC_ROOT.
func (p *plan) prepareFiles(ctx context.Context) error {
	if len(p.put) == 0 {
		return nil
	}
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(nextSuffix, 0o700); err != nil {
		return err
	}
	for i, path := range p.put {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := p.copy(root, path, prepared(i)); err != nil {
			return err
		}
	}
	return nil
}

// prepared is where the file number i of put is prepared.
func prepared(i int) string { return filepath.Join(nextSuffix, fmt.Sprint(i)) }

// folders makes a folder with all above it, with the mode that STATIC_ROOT has.
func (p *plan) folders(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	info, err := root.Lstat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
	}
	if err := p.folders(root, filepath.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, p.like.Mode().Perm()); err != nil {
		return err
	}
	if info, err = root.Lstat(dir); err != nil || info.Mode() == p.like.Mode() {
		return err
	}
	return root.Chmod(dir, p.like.Mode()) // whatever our umask
}

// copy copies a wanted file out of its release.
func (p *plan) copy(root *os.Root, path, to string) error {
	f := p.want[path]
	from, err := os.OpenInRoot(p.Build.Release(f.Release).Static(), path)
	if err != nil {
		return err
	}
	defer from.Close() // it was only read
	out, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, from)
	if err == nil && n != f.Size {
		err = fmt.Errorf("%s of release %s has %d bytes, and had %d when it was made", path, f.Release, n, f.Size)
	}
	if err == nil {
		err = out.Chmod(f.Mode)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = out.Stat()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	f.Modified = info.ModTime().UnixNano()
	p.want[path] = f
	return nil
}

// kept says whether a release has a file.
func (p *plan) kept(release, path string) bool {
	info, err := os.Lstat(filepath.Join(p.Build.Release(release).Static(), path))
	return err == nil && info.Mode().IsRegular()
}

// makeFolder makes a folder where it is missing, open to whoever may reach it: what is in it is for
// everybody.
func makeFolder(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("something that is not a folder is there; move it away")}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if to, err := os.Readlink(dir); err == nil { // to a folder that is missing; a loop is no such error
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(dir), to)
		}
		return makeFolder(to)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) // whatever our umask
}

// writable fails where nothing can be written in a folder.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".medctrl-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// mounted says whether a folder is where a file system is mounted, whose name nothing else can take.
// Kernels before 5.8 do not say; there the exchange fails.
func mounted(dir string) bool {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, 0, &st) != nil {
		return false
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 || dir == "/"
}

func device(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Dev
	}
	return 0
}
