package config

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestIdentityWithoutUserAndGroupIsOurOwn(t *testing.T) {
	t.Parallel()
	id, err := IdentityOf(Build{Name: "one"})
	if err != nil || id.UID != -1 || id.GID != -1 || id.Groups != nil || id.Home != "" || !id.Own() {
		t.Errorf("identity is %+v, %v", id, err)
	}
}

func TestIdentityOfAUserHasItsGroupsAndHome(t *testing.T) {
	t.Parallel()
	me, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Skip("we are not in the user database:", err)
	}
	id, err := IdentityOf(Build{Name: "one", User: me.Username})
	gid, _ := strconv.Atoi(me.Gid)
	if err != nil || id.UID != os.Geteuid() || id.GID != gid || id.Home != me.HomeDir || !slices.Contains(id.Groups, uint32(gid)) {
		t.Errorf("identity is %+v, %v, want that of %+v", id, err, me)
	}
	if own := gid == os.Getegid(); id.Own() != own {
		t.Errorf("own is %v, want %v", id.Own(), own)
	}
}

func TestGroupOfABuildWinsOverThatOfItsUser(t *testing.T) {
	t.Parallel()
	id, err := IdentityOf(Build{Name: "one", User: "root", Group: "daemon"})
	if err != nil {
		t.Skip("no user root or group daemon here:", err)
	}
	if id.UID != 0 || id.GID == 0 || id.Own() {
		t.Errorf("identity is %+v", id)
	}
	only, err := IdentityOf(Build{Name: "one", Group: "daemon"})
	if err != nil || only.UID != -1 || only.GID != id.GID || only.Groups != nil || only.Home != "" || only.Own() {
		t.Errorf("identity with only a group is %+v, %v", only, err)
	}
}

func TestUnknownUserAndGroupAreErrors(t *testing.T) {
	t.Parallel()
	for _, b := range []Build{{Name: "one", User: "no such user"}, {Name: "one", Group: "no such group"}} {
		if id, err := IdentityOf(b); err == nil {
			t.Errorf("identity of %+v is %+v", b, id)
		}
	}
}

// Somebody's home is 0700 on many systems, and root could always read what is in it.
func TestRootKeepsItsCapabilitiesWhereTheSourceIsDeniedToItWithoutThem(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give folders away")
	}
	for name, c := range map[string]struct {
		owner int
		mode  os.FileMode
		user  string
		want  bool
	}{
		"another's own":                {65104, 0o700, "", true},
		"another's own, and user root": {65104, 0o700, "root", true},
		"another's own, and a user":    {65104, 0o700, "nobody", false},
		"another's that all may read":  {65104, 0o755, "", false},
		"root's own":                   {0, 0o700, "", false},
	} {
		source := filepath.Join(t.TempDir(), "source")
		err := os.Mkdir(source, 0o755)
		if err == nil {
			err = os.Mkdir(filepath.Join(source, "API"), 0o755)
		}
		if err == nil {
			err = os.Chmod(source, c.mode)
		}
		if err == nil {
			err = os.Chown(source, c.owner, c.owner)
		}
		if err != nil {
			t.Fatal(err)
		}
		id, err := IdentityOf(Build{Name: "one", User: c.user, Source: source, AppDir: "API", Requirements: "requirements.txt"})
		if err != nil {
			t.Skip(err)
		}
		if id.Capable != c.want {
			t.Errorf("%s: capable is %v", name, id.Capable)
		}
	}
}
