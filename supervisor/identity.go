package supervisor

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// owner is whom a build's server runs as and who owns its socket.
type owner struct {
	uid, gid   int // -1: our own
	home       string
	credential *process.Credential // nil: our own
}

// identity looks up a build's user and group.
func identity(b config.Build) (owner, error) {
	o := owner{uid: -1, gid: -1}
	var groups []uint32
	if b.User != "" {
		u, err := user.Lookup(b.User)
		if err != nil {
			return o, fmt.Errorf("look up user of build %s: %w", b.Name, err)
		}
		if o.uid, err = strconv.Atoi(u.Uid); err != nil {
			return o, fmt.Errorf("look up user %s: id %q: %w", b.User, u.Uid, err)
		}
		if o.gid, err = strconv.Atoi(u.Gid); err != nil {
			return o, fmt.Errorf("look up user %s: group id %q: %w", b.User, u.Gid, err)
		}
		o.home = u.HomeDir
		ids, err := u.GroupIds()
		if err != nil {
			return o, fmt.Errorf("look up groups of user %s: %w", b.User, err)
		}
		for _, id := range ids {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				groups = append(groups, uint32(n))
			}
		}
	}
	if b.Group != "" {
		g, err := user.LookupGroup(b.Group)
		if err != nil {
			return o, fmt.Errorf("look up group of build %s: %w", b.Name, err)
		}
		if o.gid, err = strconv.Atoi(g.Gid); err != nil {
			return o, fmt.Errorf("look up group %s: id %q: %w", b.Group, g.Gid, err)
		}
	}
	switch {
	case b.User != "":
		o.credential = &process.Credential{UID: uint32(o.uid), GID: uint32(o.gid), Groups: groups}
	case b.Group != "" && os.Geteuid() == 0:
		o.credential = &process.Credential{UID: 0, GID: uint32(o.gid)}
	}
	return o, nil
}
