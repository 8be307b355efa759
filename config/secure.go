package config

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// TrustedUsers is the variable of our own environment that lists users who may write what a supervisor
// goes by, besides root and its own: their names or numbers, with commas between. It is for who starts
// it, and never in a file that others could write.
const TrustedUsers = "MEDCTRL_TRUSTED_USERS"

// Custody returns who may change what c's supervisor goes by. The builds' own groups are strangers to it.
func (c *Config) Custody() custody.Custody {
	all := custody.Custody{UIDs: trusted()}
	seen := map[[2]string]bool{}
	for _, b := range c.Builds {
		if who := [2]string{b.User, b.Group}; !seen[who] && who != [2]string{} {
			seen[who] = true
			_, gids := whoRuns(b)
			all.Strangers = append(all.Strangers, gids...)
		}
	}
	return all
}

// whoRuns returns the user and groups of a build, as far as they are not our own.
func whoRuns(b Build) (uids, gids []int) {
	id, err := IdentityOf(b)
	if err != nil {
		return nil, nil // that is reported
	}
	if id.UID > 0 {
		uids = append(uids, id.UID)
	}
	for _, gid := range id.Groups {
		if gid != 0 {
			gids = append(gids, int(gid))
		}
	}
	if id.GID > 0 {
		gids = append(gids, id.GID)
	}
	return uids, gids
}

// trusted returns the numbers of the users that TrustedUsers lists. What is no user trusts nobody.
func trusted() []int {
	var all []int
	for name := range strings.FieldsFuncSeq(os.Getenv(TrustedUsers), func(r rune) bool { return r == ',' || r == ' ' }) {
		if u, err := user.Lookup(name); err == nil {
			name = u.Uid
		}
		if uid, err := strconv.Atoi(name); err == nil && uid >= 0 {
			all = append(all, uid)
		}
	}
	return all
}

// Exposed returns what others could change of what the supervisor goes by or writes to: its files and
// folders, and all above them. wrong is what nobody may start with; only a supervisor of root's has
// that: who could change its files could become root.
func (c *Config) Exposed() (wrong, warnings Errors) {
	who := c.Custody()
	var seen []string
	look := func(path string, who custody.Custody, at func(text string) Error) {
		if path == "" || path == "/" {
			return // it is missing, or refused
		}
		for _, f := range who.Of(path) {
			if slices.Contains(seen, f.Path) || f.Path == c.Root && f.Everybody {
				continue // the latter is refused whoever we are
			}
			seen = append(seen, f.Path)
			e := at(f.String())
			if e.About = f.Path; f.Grave && os.Geteuid() == 0 {
				wrong = append(wrong, e)
			} else {
				warnings = append(warnings, e)
			}
		}
	}
	look(c.Path, who, func(text string) Error { return Error{File: c.shownPath(), Line: 1, Col: 1, Msg: text} })
	for _, f := range c.Included {
		look(f.Path, who, func(text string) Error { return Error{File: c.shown(f.Path), Line: 1, Col: 1, Msg: text} })
	}
	for _, pattern := range c.Include {
		folder := filepath.Dir(pattern) // whoever may put a file there may add builds
		look(folder, who, func(text string) Error { return c.Wrong("", "include", "include = %s: %s", show(folder), text) })
	}
	look(c.Root, who, func(text string) Error { return c.WrongRoot("root = %s: %s", show(c.Root), text) })
	for _, key := range []struct{ name, path string }{
		{"log_dir", c.Supervisor.LogDir}, {"dashboard_read", c.Supervisor.DashboardRead}, {"dashboard_write", c.Supervisor.DashboardWrite},
	} {
		look(key.path, who, func(text string) Error { return c.Wrong("", key.name, "%s = %s: %s", key.name, show(key.path), text) })
	}
	for _, b := range c.Builds {
		if b.EnvFile == "" || b.Name == "" {
			continue
		}
		// It is the environment of the build alone, so its user may write it.
		own, uids := who, []int(nil)
		uids, own.GIDs = whoRuns(b)
		own.UIDs = append(uids, who.UIDs...)
		look(b.EnvFile, own, func(text string) Error {
			return c.Wrong(b.Name, "env_file", "env_file = %s: %s", show(b.EnvFile), text)
		})
	}
	return wrong, warnings
}

// shownPath is c's file as it was named.
func (c *Config) shownPath() string {
	if c.sites != nil {
		return c.sites.file
	}
	return c.Path
}

// shown is a file that c includes as c's own was named.
func (c *Config) shown(path string) string {
	if c.sites != nil {
		return c.sites.beside(path).file
	}
	return path
}

// ExposedProgram says who else could change the program at path, of a supervisor of c: as an error
// where they could become root by it.
func (c *Config) ExposedProgram(path string) (warning string, wrong error) {
	for _, f := range c.Custody().Of(path) {
		if f.Grave && os.Geteuid() == 0 {
			return "", fmt.Errorf("the program %s could be exchanged: %v", path, f)
		}
		warning = fmt.Sprintf("the program %s could be exchanged: %v", path, f)
	}
	return warning, nil
}
