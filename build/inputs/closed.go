package inputs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// A release shows its files to the build's user, and we, as root, can read everything. So what the
// build's user could not read in the source is closed: it does not go into a release. The rights of
// folders above the application do not count: who may enter the source is another question.

// ClosedEntry stands in a tree for a file or folder that is closed.
const ClosedEntry = "closed"

// errClosed says that a file is closed.
var errClosed = errors.New("the build's user may not read it")

// Reader is whom a source is read for. The zero reader reads for ourselves, for whom the kernel
// decides.
type Reader struct {
	As   config.Identity
	ours map[string]int // settings that count as the build's, whatever their mode, with their owner; see ownSettings

	app, source string // see from
}

// Ourselves reads for our own user.
var Ourselves = Reader{As: config.Identity{UID: -1, GID: -1}}

// ReaderOf reads the application of b at app.
func ReaderOf(app string, b config.Build, as config.Identity) Reader {
	r := Reader{As: as}.from(ResolvedAsFar(b.Source), app)
	if r.Other() {
		r.ours = ownSettings(app, b)
	}
	return r
}

// Other says that somebody else than we reads what was copied.
func (r Reader) Other() bool { return r.As.UID >= 0 && r.As.UID != os.Geteuid() }

// mode is that of a copy. Only for another user the group has rights that it lacks in the source: it
// is how that user reads the copy.
func (r Reader) mode(most, source fs.FileMode) fs.FileMode {
	if r.Other() {
		return most
	}
	return most & (0o700 | source.Perm())
}

// closed says whether what walk found at rel in the application at app is closed.
func (r Reader) closed(app, rel string, d fs.DirEntry) (bool, error) {
	if _, own := r.ours[rel]; !r.Other() || own || d.Type() == fs.ModeSymlink {
		return false, nil
	}
	if !d.IsDir() && (!IsWithin(app, r.source) || isLink(filepath.Join(app, rel))) && !r.leadsTo(app, rel) {
		return true, nil
	}
	info, err := d.Info()
	if err != nil {
		return false, err
	}
	want := config.Read
	if d.IsDir() {
		want |= config.Execute
	}
	return !r.may(info, want, func(into []byte) (int, error) {
		return unix.Getxattr(filepath.Join(app, rel), aclName, into)
	}), nil
}

// opener refuses to open what is closed. It asks the file that was opened: another may have been put
// in its place since walk found it.
func (r Reader) opener(open Opener) Opener {
	if !r.Other() {
		return open
	}
	return func(path string, flag int, mode fs.FileMode) (*os.File, error) {
		f, err := open(path, flag, mode)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if owner, own := r.ours[path]; err == nil && own && stillOwn(info, owner) {
			return f, nil
		}
		if err == nil && !r.reached(f, path) || err == nil && !r.may(info, config.Read, func(into []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), aclName, into) }) {
			err = fmt.Errorf("%s: %w", f.Name(), errClosed)
		}
		if err != nil {
			f.Close() // only the first error counts
			return nil, err
		}
		return f, nil
	}
}

// may says whether the user has a right, by the mode and the access list.
func (r Reader) may(info fs.FileInfo, want config.Right, acl func([]byte) (int, error)) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	permitted := config.Permitted(info.Mode(), int(stat.Uid), int(stat.Gid), r.As, want)
	if all := info.Mode().Perm(); int(stat.Uid) == r.As.UID || config.Right(all>>3&all&7)&want == want {
		return permitted // an access list would hardly say another thing, and asking costs a call a file
	}
	var list [1024]byte
	n, err := acl(list[:])
	if err != nil || n < 4 {
		return permitted // there is none
	}
	return listed(list[:n], int(stat.Gid), r.As, want)
}

const aclName = "system.posix_acl_access"

// The tags of an access list (linux/posix_acl.h), which begins with a version of four bytes.
const (
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

// listed says what an access list says about a user who does not own the file (acl(5), "Access check
// algorithm").
func listed(list []byte, group int, as config.Identity, want config.Right) bool {
	named, isNamed := config.Right(0), false
	grouped, isGrouped := false, false
	mask, other := config.Right(7), config.Right(0)
	member := func(gid int) bool { return as.GID == gid || slices.Contains(as.Groups, uint32(gid)) }
	var groups []config.Right
	for entry := list[4:]; len(entry) >= 8; entry = entry[8:] {
		tag, id := binary.LittleEndian.Uint16(entry), int(binary.LittleEndian.Uint32(entry[4:]))
		rights := config.Right(binary.LittleEndian.Uint16(entry[2:]) & 7)
		switch {
		case tag == aclUser && id == as.UID:
			named, isNamed = rights, true
		case tag == aclGroupObj && member(group), tag == aclGroup && member(id):
			groups, isGrouped = append(groups, rights), true
		case tag == aclMask:
			mask = rights
		case tag == aclOther:
			other = rights
		}
	}
	for _, rights := range groups {
		grouped = grouped || rights&mask&want == want
	}
	switch {
	case isNamed:
		return named&mask&want == want
	case isGrouped:
		return grouped
	}
	return other&want == want
}

// ownSettings returns the settings that count as the build's own whatever their mode, by their paths
// in the application at app: builds.toml names the build's settings file, and passwords in it are
// often for root's eyes alone. What it imports counts too, as long as nobody but the owner of the
// settings file can have written the import.
func ownSettings(app string, b config.Build) map[string]int {
	own := filepath.Join(b.SettingsDir, filepath.Base(b.SettingsFile()))
	owner, ok := keptBy(app, own, -1)
	if !ok {
		return nil
	}
	ours := map[string]int{own: owner}
	var imported []string
	for rel := range readSettings(app, b).texts {
		if _, ok := keptBy(app, rel, owner); !ok {
			return ours
		}
		imported = append(imported, rel)
	}
	for _, rel := range imported {
		ours[rel] = owner
	}
	return ours
}

// keptBy says whether only its owner, who is that one where it is not -1, can have put a file of the
// application in its place or written it, and returns the owner. The folders may be root's.
func keptBy(app, rel string, owner int) (uid int, ok bool) {
	for path := filepath.Join(app, rel); ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm()&0o022 != 0 {
			return -1, false
		}
		stat, isStat := info.Sys().(*syscall.Stat_t)
		if !isStat || info.Mode().IsRegular() && stat.Nlink != 1 || !info.IsDir() && !info.Mode().IsRegular() {
			return -1, false
		}
		if owner < 0 {
			owner = int(stat.Uid)
		}
		if int(stat.Uid) != owner && !(info.IsDir() && stat.Uid == 0) {
			return -1, false
		}
		if path == filepath.Clean(app) {
			return owner, true
		}
	}
}

// Needed returns an error where something is closed without which there is no release: manage.py and
// the settings.
func (t Tree) Needed(app string, b config.Build, r Reader) error {
	if !r.Other() {
		return nil
	}
	all := []string{"manage.py", filepath.Join(b.SettingsDir, filepath.Base(b.SettingsFile()))}
	for rel := range readSettings(app, b).texts {
		all = append(all, rel)
	}
	for _, rel := range all {
		for at := rel; at != "."; at = filepath.Dir(at) {
			if t[at] == ClosedEntry {
				return fmt.Errorf("user %d, whom the build runs as, may not read %s, and a release holds nothing that its user could not read in the source: "+
					"give it to a group that the user is in (chgrp, chmod g+r), or let everybody read it", r.As.UID, filepath.Join(app, at))
			}
		}
	}
	return nil
}

// Closed returns what is closed, sorted.
func (t Tree) Closed() (all []string) {
	for rel, hash := range t {
		if hash == ClosedEntry {
			all = append(all, rel)
		}
	}
	slices.Sort(all)
	return all
}

// RemarkClosed is what people should know of files that are closed.
func RemarkClosed(all []string, as config.Identity) string {
	shown := all[:min(len(all), 5)]
	more := ""
	if n := len(all) - len(shown); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("not in the release, because user %d, whom the build runs as, may not read it in the source: %s%s", as.UID, strings.Join(shown, ", "), more)
}
