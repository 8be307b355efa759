package custody

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Custody is who may change things, besides root.
type Custody struct {
	UIDs, GIDs []int // users who may, and groups; ourselves are always among them
	// Strangers are groups whose members may not for sure, also where they are the system's.
	Strangers []int
}

// Finding is somebody else who could change something.
type Finding struct {
	Path  string // what they could change: on the way to the path that was asked for
	Who   string // who they are
	Fix   string // a command
	Grave bool   // it is not only a group of the system's
	Dir   bool   // Path is a folder
	// Everybody says that it is not only some.
	Everybody bool
}

// String says who could change what, and how that is prevented.
func (f Finding) String() string {
	can := "may write it"
	if f.Dir {
		can = "may replace what is in it"
	}
	return fmt.Sprintf("%s: %s %s, and so act as %s: %s", f.Path, f.Who, can, ownName(), f.Fix)
}

// ShellWord is a path as a shell takes it as one word: whoever named a file may have hoped that a command
// with that name is pasted.
func ShellWord(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%=", r)
	}
	if path != "" && !strings.HasPrefix(path, "-") && !strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'"'"'`) + "'"
}

// mostLinks is how many links are followed, as many as Linux does (path_resolution(7)).
const mostLinks = 40

// Of returns who else could change what lies at path, from the top down. What is not there, and whatever
// cannot be looked at, is nobody's.
func (c Custody) Of(path string) []Finding {
	var all []Finding
	left, at := strings.Split(filepath.Clean(path), "/")[1:], "/"
	for links := 0; ; {
		info, err := os.Lstat(at)
		if err != nil {
			return all
		}
		if f, found := c.look(at, info); found && !slices.Contains(all, f) {
			all = append(all, f)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(at)
			if links++; err != nil || links > mostLinks {
				return all
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(at), to)
			}
			left, at = append(strings.Split(filepath.Clean(to), "/")[1:], left...), "/"
			continue
		}
		for len(left) > 0 && left[0] == "" {
			left = left[1:]
		}
		if len(left) == 0 {
			return all
		}
		at, left = filepath.Join(at, left[0]), left[1:]
	}
}

// Grave returns the first grave finding of path as an error, nil where there is none.
func (c Custody) Grave(path string) error {
	for _, f := range c.Of(path) {
		if f.Grave {
			return fmt.Errorf("%v", f)
		}
	}
	return nil
}

// GraveBelow returns the first grave finding of path and of everything in it, as an error. Links in it are
// not followed.
func (c Custody) GraveBelow(path string) error {
	if err := c.Grave(path); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return filepath.WalkDir(real, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if f, found := c.look(at, info); found && f.Grave {
			return fmt.Errorf("%v", f)
		}
		return nil
	})
}

// look returns who else could change one file, folder or link.
func (c Custody) look(path string, info fs.FileInfo) (Finding, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Finding{}, false
	}
	mode, f := info.Mode(), Finding{Path: path, Grave: true, Dir: info.IsDir()}
	uid, gid := int(stat.Uid), int(stat.Gid)
	sticky := f.Dir && mode&fs.ModeSticky != 0
	switch {
	case !c.may(uid):
		// Of a link too: who owns it in a folder with the sticky bit can put another in its place.
		f.Who, f.Fix = "its owner, "+userName(uid)+",", "chown "+ownName()+" "+ShellWord(path)
		if mode&fs.ModeSymlink != 0 {
			f.Fix = "chown -h " + ownName() + " " + ShellWord(path)
		}
	case mode&fs.ModeSymlink != 0, sticky:
		return f, false // its bits mean nothing, or not that
	case mode&0o002 != 0:
		f.Who, f.Fix, f.Everybody = "everybody", "chmod o-w "+ShellWord(path), true
	case mode&0o020 != 0 && gid != 0 && !slices.Contains(c.GIDs, gid) && !c.ownGroup(gid):
		f.Who, f.Fix = "the group "+groupName(gid), "chmod g-w "+ShellWord(path)
		f.Grave = gid >= firstGroup || slices.Contains(c.Strangers, gid)
	default:
		return f, false
	}
	return f, !readOnly(path, mode)
}

// firstGroup is the first number of a group that is not the system's (login.defs(5), GID_MIN).
const firstGroup = 1000

// may says that a user may change things.
func (c Custody) may(uid int) bool {
	return uid == 0 || uid == os.Geteuid() || slices.Contains(c.UIDs, uid) || uid == overflow && !isMapped(uid)
}

// ownGroup says that a group is the own one of somebody who may, as many systems give each user one:
// such files are group-writable as a rule. Root's is not looked for, which has the number 0.
func (c Custody) ownGroup(gid int) bool {
	if slices.Contains(c.Strangers, gid) {
		return false
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		return false
	}
	for _, uid := range append([]int{os.Geteuid()}, c.UIDs...) {
		if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Gid == group.Gid && u.Username == group.Name {
			return true
		}
	}
	return false
}

// readOnly says that nobody can change what is at path, as it is mounted read-only. That must be so for
// everybody: a service may see as read-only what others can write (systemd.exec(5), ProtectSystem=).
func readOnly(path string, mode fs.FileMode) bool {
	if mode&fs.ModeSymlink != 0 {
		path = filepath.Dir(path)
	}
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil || st.Flags&unix.ST_RDONLY == 0 {
		return false
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	first, ferr := os.Readlink("/proc/1/ns/mnt")
	return err == nil && ferr == nil && ours == first
}

// overflow is the owner that is shown of files whose owner is not in the user namespace
// (/proc/sys/kernel/overflowuid).
const overflow = 65534

// isMapped says that a user's number is one of the user namespace: nobody can act as another.
func isMapped(uid int) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true // there are no user namespaces
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, length int64
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err == nil && int64(uid) >= inside && int64(uid) < inside+length {
			return true
		}
	}
	return false
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

// ownName is who we are, as chown takes it.
func ownName() string {
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}
