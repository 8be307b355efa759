package doctor

import (
	"os/user"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestBuildThatMayReadAnotherIsFound(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nobody", "daemon"} {
		if _, err := user.Lookup(name); err != nil {
			t.Skip(err)
		}
		if _, err := user.LookupGroup("mail"); err != nil {
			t.Skip(err)
		}
	}
	build := func(name, user, group, socket string) config.Build {
		return config.Build{Name: name, User: user, Group: group, SocketGroup: socket, SocketMode: 0o660}
	}
	for name, c := range map[string]struct {
		a, b config.Build
		want string
	}{
		"one group":           {build("a", "nobody", "mail", ""), build("b", "daemon", "mail", ""), "may read"},
		"groups of their own": {build("a", "nobody", "", "mail"), build("b", "daemon", "", "mail"), ""},
		"a socket's group":    {build("a", "nobody", "mail", ""), build("b", "daemon", "", "mail"), "may connect"},
		"one user":            {build("a", "nobody", "mail", ""), build("b", "nobody", "mail", ""), ""},
		"no user":             {build("a", "", "mail", ""), build("b", "daemon", "mail", ""), ""},
	} {
		found := neighbours([]config.Build{c.a, c.b}, c.b)
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %+v", name, found)
		case c.want != "" && (len(found) != 1 || !strings.Contains(found[0].text, c.want) || !strings.Contains(found[0].text, "nobody")):
			t.Errorf("%s: %+v, want that a %s", name, found, c.want)
		}
	}
}
