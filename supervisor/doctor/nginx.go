package doctor

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// nginxUser is the directive that says whom Nginx's workers run as (nginx.org, core module).
var nginxUser = regexp.MustCompile(`(?m)^[ \t]*user[ \t]+([^\s;]+)(?:[ \t]+([^\s;]+))?[ \t]*;`)

// usualNginx are the users of distributions' Nginx.
var usualNginx = []string{"www-data", "nginx", "http"}

// nginx says whether Nginx's workers may connect to the build's socket.
func (p *patient) nginx() []Finding {
	const check = "nginx"
	if p.b.Location == "" {
		return nil
	}
	id, name, err := nginxIdentity(p.o.Nginx)
	switch {
	case err != nil:
		return []Finding{warn(check, "", "not tried: %v", err)}
	case name == "":
		return nil // there is none
	}
	gid, err := config.SocketGroupOf(p.b)
	if err != nil {
		return []Finding{fail(check, "", "%v", err)}
	}
	f := socketFinding(p.o.Config.Socket(p.b.Name), p.b, config.Identity{UID: p.seen.As.UID, GID: gid}, id, name)
	if f.Level == Fail && p.o.Config.Supervisor.Front != "" {
		f.Level, f.Message = Warn, f.Message+"; the front does"
	}
	return []Finding{f}
}

// socketFinding says whether a user may connect to a socket of as, which need not be there yet:
// connect(2) needs the right to write, and to enter each folder above.
func socketFinding(socket string, b config.Build, as, id config.Identity, name string) Finding {
	const check = "nginx"
	dir := filepath.Dir(socket)
	if at := config.Denied(dir, id, config.Execute); at != "" {
		return fail(check, "chmod o+x "+at+", or put root elsewhere", "Nginx, as user %s, does not reach %s: it may not enter %s", name, socket, at)
	}
	fix := fmt.Sprintf("set socket_group to a group that %s is in, and no build's user", name)
	if _, err := os.Stat(socket); err == nil {
		if at := config.Denied(socket, id, config.Write); at != "" {
			return fail(check, fix, "Nginx, as user %s, may not connect to %s, which has mode %04o and belongs to %s", name, socket, b.SocketMode, ownerOf(as))
		}
		return ok(check, "Nginx, as user %s, may connect to the socket", name)
	}
	uid, gid := ids(as)
	if !config.Permitted(b.SocketMode, uid, gid, id, config.Write) {
		const usual = 0o660
		if config.Permitted(usual, uid, gid, id, config.Write) {
			fix = fmt.Sprintf("set socket_mode = %q", fmt.Sprintf("%04o", usual)) // it is in the group
		}
		return fail(check, fix, "Nginx, as user %s, will not be allowed to connect to %s, which will have mode %04o and belong to %s", name, socket, b.SocketMode, ownerOf(as))
	}
	return ok(check, "Nginx, as user %s, will be allowed to connect to the socket", name)
}

func ids(as config.Identity) (uid, gid int) {
	uid, gid = as.UID, as.GID
	if uid < 0 {
		uid = os.Geteuid()
	}
	if gid < 0 {
		gid = os.Getegid()
	}
	return uid, gid
}

// ownerOf names a user and a group.
func ownerOf(as config.Identity) string {
	uid, gid := ids(as)
	owner, group := strconv.Itoa(uid), strconv.Itoa(gid)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return owner + ":" + group
}

// nginxIdentity returns whom Nginx's workers run as; "" where there is no Nginx.
func nginxIdentity(files []string) (id config.Identity, name string, err error) {
	for _, path := range files {
		text, err := untrusted.ReadFile(path, 1<<20)
		if err != nil {
			continue // it is installed elsewhere, or not at all
		}
		if found := nginxUser.FindSubmatch(text); found != nil {
			return identityOf(string(found[1]), string(found[2]))
		}
		for _, name := range usualNginx {
			if _, err := user.Lookup(name); err == nil {
				return identityOf(name, "")
			}
		}
		return id, "", fmt.Errorf("%s has no directive user", path)
	}
	return id, "", nil
}

func identityOf(name, group string) (config.Identity, string, error) {
	id, err := config.IdentityOf(config.Build{Name: "nginx", User: name, Group: group})
	return id, name, err
}
