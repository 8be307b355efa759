package config

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// Identity is the user and groups that a build's steps and server run as.
type Identity struct {
	UID, GID int      // -1: our own
	Groups   []uint32 // supplementary
	Home     string   // "" if it is our own
	// Capable says that the build keeps root's capabilities, because without them it could not be
	// made: another user keeps its source or its interpreter for himself.
	Capable bool

	plain bool // root without capabilities, to whom that is denied (Permitted)
}

// Own reports whether it is our own user and group.
func (i Identity) Own() bool {
	return (i.UID < 0 || i.UID == os.Geteuid()) && (i.GID < 0 || i.GID == os.Getegid())
}

// IdentityOf looks up the user and group of b. A user without a group gets the group of the user
// database; a group without a user goes with our own user.
func IdentityOf(b Build) (Identity, error) {
	id := Identity{UID: -1, GID: -1}
	if b.User != "" {
		u, err := user.Lookup(b.User)
		if err != nil {
			return id, fmt.Errorf("look up user of build %s: %w", b.Name, err)
		}
		if id.UID, err = strconv.Atoi(u.Uid); err != nil {
			return id, fmt.Errorf("look up user %s: id %q: %w", b.User, u.Uid, err)
		}
		if id.GID, err = strconv.Atoi(u.Gid); err != nil {
			return id, fmt.Errorf("look up user %s: group id %q: %w", b.User, u.Gid, err)
		}
		id.Home = u.HomeDir
		groups, err := u.GroupIds()
		if err != nil {
			return id, fmt.Errorf("look up groups of user %s: %w", b.User, err)
		}
		for _, group := range groups {
			n, err := strconv.ParseUint(group, 10, 32)
			if err != nil {
				return id, fmt.Errorf("look up groups of user %s: id %q: %w", b.User, group, err)
			}
			id.Groups = append(id.Groups, uint32(n))
		}
	}
	if b.Group != "" {
		var err error
		if id.GID, err = GroupID(b.Group); err != nil {
			return id, fmt.Errorf("build %s: %w", b.Name, err)
		}
	}
	id.Capable = id.needsCapabilities(b)
	return id, nil
}

// needsCapabilities reports whether b, which runs as root, is denied what it is made of where root
// has no capabilities.
func (i Identity) needsCapabilities(b Build) bool {
	if uid, _, _ := i.ids(); uid != 0 {
		return false
	}
	i.plain = true
	return Denied(b.AppPath(), i, Read|Execute) != "" || Denied(b.RequirementsFile(), i, Read) != "" ||
		filepath.IsAbs(b.Python) && Denied(b.Python, i, Read|Execute) != ""
}

// SocketGroupOf looks up the group of b's public socket, -1 for our own: whoever is in it may
// connect, and may do nothing else.
func SocketGroupOf(b Build) (gid int, err error) {
	if b.SocketGroup == "" {
		id, err := IdentityOf(b)
		return id.GID, err
	}
	if gid, err = GroupID(b.SocketGroup); err != nil {
		return -1, fmt.Errorf("build %s: %w", b.Name, err)
	}
	return gid, nil
}

// GroupID returns the number of a group of this system.
func GroupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("look up group %s: %w", name, err)
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1, fmt.Errorf("look up group %s: id %q: %w", name, g.Gid, err)
	}
	return id, nil
}
