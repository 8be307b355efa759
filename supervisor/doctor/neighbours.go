package doctor

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/medctrl/medctrl-supervisor/config"
)

// neighbour is what a build's user may do to another build although they are two users: one
// application that is broken into then gives the other away.
type neighbour struct {
	key  string // of the other build, that opens it
	text string
	fix  string
}

// neighbours finds what the users of other builds may do to b.
func neighbours(all []config.Build, b config.Build) (found []neighbour) {
	own, err := config.IdentityOf(b)
	socket, serr := config.SocketGroupOf(b)
	if err != nil || serr != nil || own.UID <= 0 {
		return nil // that was reported, or it runs as ourselves, who share with nobody
	}
	for _, o := range all {
		other, err := config.IdentityOf(o)
		if err != nil || o.Name == b.Name || other.UID <= 0 || other.UID == own.UID {
			continue
		}
		in := func(gid int) bool { return other.GID == gid || slices.Contains(other.Groups, uint32(gid)) }
		switch {
		case in(own.GID):
			found = append(found, neighbour{
				key:  "group",
				text: fmt.Sprintf("%s, as whom build %s runs, is in the group %s, which may read the releases, settings and data of build %s", o.User, o.Name, groupOf(own.GID), b.Name),
				fix:  "give each build a group of its own, and let socket_group be Nginx's",
			})
		case in(socket) && b.SocketMode&0o020 != 0:
			found = append(found, neighbour{
				key:  "socket_group",
				text: fmt.Sprintf("%s, as whom build %s runs, is in the group %s, which may connect to the socket of build %s", o.User, o.Name, groupOf(socket), b.Name),
				fix:  "let socket_group be a group that no build's user is in",
			})
		}
	}
	return found
}

func groupOf(gid int) string {
	if gid < 0 {
		gid = os.Getegid()
	}
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

// apart says whether other builds are kept away from this one.
func (p *patient) apart() (all []Finding) {
	for _, n := range neighbours(p.o.Config.Builds, p.b) {
		all = append(all, warn("neighbours", n.fix, "%s", n.text))
	}
	return all
}

func (l look) apart() (all config.Errors) {
	if l.c.Refused(l.b.Name, "user", "group", "socket_group") {
		return nil
	}
	for _, n := range neighbours(l.c.Builds, l.b) {
		all = append(all, l.c.Wrong(l.b.Name, n.key, "%s: %s", n.text, n.fix))
	}
	return all
}
