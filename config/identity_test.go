package config

import (
	"os"
	"os/user"
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
