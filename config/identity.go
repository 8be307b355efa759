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
		g, err := user.LookupGroup(b.Group)
		if err != nil {
			return id, fmt.Errorf("look up group of build %s: %w", b.Name, err)
		}
		if id.GID, err = strconv.Atoi(g.Gid); err != nil {
			return id, fmt.Errorf("look up group %s: id %q: %w", b.Group, g.Gid, err)
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
