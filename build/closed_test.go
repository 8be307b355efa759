package build

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestReleaseHoldsNothingThatItsUserMayNotReadInTheSource(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.runAsNobody(t)
	p.environment(t)
	for path, mode := range map[string]fs.FileMode{"key.pem": 0o600, "group.pem": 0o640, "vault/inner.txt": 0o644, "open.txt": 0o644} {
		p.write(t, "API/"+path, "of "+path)
		must(t, os.Chmod(filepath.Join(p.AppPath(), path), mode))
	}
	must(t, os.Chmod(filepath.Join(p.AppPath(), "vault"), 0o700))
	rel := p.made(t)
	for path, want := range map[string]bool{"key.pem": false, "group.pem": false, "vault": false, "open.txt": true} {
		if got := exists(filepath.Join(rel.App(p.Build), path)); got != want {
			t.Errorf("%s is in the release: %v", path, got)
		}
	}
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "may not read", "group.pem, key.pem, vault")
	// It comes when it may.
	must(t, os.Chmod(filepath.Join(p.AppPath(), "key.pem"), 0o644))
	if next := p.made(t); read(t, filepath.Join(next.App(p.Build), "key.pem")) != "of key.pem" {
		t.Error("a file that was opened to everybody is not in the next release")
	}
}

func TestReleaseWithoutItsSettingsIsRefusedByName(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.runAsNobody(t)
	p.environment(t)
	settings := filepath.Join(p.AppPath(), "api_settings/settings")
	for name, c := range map[string]struct {
		path string
		mode fs.FileMode
	}{"manage.py": {filepath.Join(p.AppPath(), "manage.py"), 0o600}, "a folder": {settings, 0o700}} {
		before, err := os.Stat(c.path)
		must(t, err)
		must(t, os.Chmod(c.path, c.mode))
		if _, _, err := p.m.Make(t.Context(), p.request()); err == nil || !strings.Contains(err.Error(), "may not read "+c.path) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, os.Chmod(c.path, before.Mode()))
	}
	// What the build's settings import is theirs, unless others than their owner may have written that.
	p.write(t, "API/api_settings/settings/base.py", "A = 1\n")
	p.write(t, "API/api_settings/settings/deploy_one.py", "SECRET_KEY = 'x'\nfrom .base import *\n")
	for _, file := range []string{"base.py", "deploy_one.py"} {
		must(t, os.Chmod(filepath.Join(settings, file), 0o600))
	}
	p.made(t)
	must(t, os.Lchown(filepath.Join(settings, "deploy_one.py"), 65001, 65001))
	if _, _, err := p.m.Make(t.Context(), p.request()); err == nil || !strings.Contains(err.Error(), "may not read "+filepath.Join(settings, "base.py")) {
		t.Errorf("somebody's settings import what is ours alone: %v", err)
	}
	must(t, os.Lchown(filepath.Join(settings, "deploy_one.py"), 0, 0))
	must(t, os.Chmod(settings, 0o777))
	if _, _, err := p.m.Make(t.Context(), p.request()); err == nil || !strings.Contains(err.Error(), "may not read ") {
		t.Errorf("everybody may put another file in the place of the settings: %v", err)
	}
}

func TestLocalProjectIsNotReadWithOurRights(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.runAsNobody(t)
	p.fakePip(t, "")
	p.write(t, "libs/demo/pyproject.toml", "[project]\nname = 'demo'\nversion = '1'\n")
	p.write(t, "libs/demo/secret", "secret")
	p.write(t, "requirements.txt", "./libs/demo\n")
	secret := filepath.Join(p.Source, "libs/demo/secret")
	must(t, os.Chmod(secret, 0o600))
	contains(t, p.failed(t).Error(), "the build's user may not read it", "libs/demo", "secret")
	p.clean(t)
}

func TestOwnReleaseKeepsWhatTheSourceDeniesToTheGroup(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.environment(t)
	for path, mode := range map[string]fs.FileMode{"closed": 0o600, "open": 0o666, "folder/file": 0o644} {
		p.write(t, "API/"+path, "")
		must(t, os.Chmod(filepath.Join(p.AppPath(), path), mode))
	}
	must(t, os.Chmod(filepath.Join(p.AppPath(), "folder"), 0o700))
	rel := p.made(t)
	for path, want := range map[string]fs.FileMode{"closed": 0o600, "open": 0o640, "folder": 0o700} {
		if info, err := os.Stat(filepath.Join(rel.App(p.Build), path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %o", path, info.Mode(), err, want)
		}
	}
}

func TestFileThatIsExchangedIsAskedForItsOwnRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may read what the build's user may not")
	}
	app, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	path := filepath.Join(app, "file")
	must(t, os.WriteFile(path, nil, 0o600))
	r := reader{as: config.Identity{UID: 65001, GID: 65001}}
	root, err := os.OpenRoot(app)
	must(t, err)
	defer root.Close()
	if _, err := copyFile(t.Context(), r.opener(within(root)), "file", to, r); err == nil || exists(to) {
		t.Errorf("copied: %v", err)
	}
	must(t, os.Chmod(path, 0o604))
	if _, err := copyFile(t.Context(), r.opener(within(root)), "file", to, r); err != nil {
		t.Error(err)
	}
}

func TestAccessListDecidesWhoReads(t *testing.T) {
	t.Parallel()
	list := func(entries ...[3]uint32) []byte {
		text := []byte{2, 0, 0, 0}
		for _, e := range entries {
			text = binary.LittleEndian.AppendUint16(text, uint16(e[0]))
			text = binary.LittleEndian.AppendUint16(text, uint16(e[1]))
			text = binary.LittleEndian.AppendUint32(text, e[2])
		}
		return text
	}
	as := config.Identity{UID: 7, GID: 8, Groups: []uint32{9}}
	for name, c := range map[string]struct {
		list []byte
		want bool
	}{
		"the user is named":             {list([3]uint32{aclUser, 4, 7}, [3]uint32{aclMask, 7, 0}), true},
		"another is named":              {list([3]uint32{aclUser, 4, 6}, [3]uint32{aclMask, 7, 0}, [3]uint32{aclOther, 0, 0}), false},
		"masked":                        {list([3]uint32{aclUser, 4, 7}, [3]uint32{aclMask, 0, 0}, [3]uint32{aclOther, 4, 0}), false},
		"a group is named":              {list([3]uint32{aclGroupObj, 0, 0}, [3]uint32{aclGroup, 4, 9}, [3]uint32{aclMask, 4, 0}), true},
		"the file's group has no right": {list([3]uint32{aclGroupObj, 0, 0}, [3]uint32{aclMask, 4, 0}, [3]uint32{aclOther, 4, 0}), false},
		"everybody":                     {list([3]uint32{aclGroup, 0, 5}, [3]uint32{aclOther, 4, 0}), true},
		"cut off":                       {[]byte{2, 0, 0, 0, 1}, false},
	} {
		group := 5
		if strings.HasPrefix(name, "the file's group") {
			group = 8
		}
		if got := listed(c.list, group, as, config.Read); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// As the kernel keeps it.
	if os.Geteuid() != 0 {
		return
	}
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o640))
	kept := list([3]uint32{1, 6, ^uint32(0)}, [3]uint32{aclUser, 4, 7}, [3]uint32{aclGroupObj, 0, ^uint32(0)}, [3]uint32{aclMask, 4, ^uint32(0)}, [3]uint32{aclOther, 0, ^uint32(0)})
	if err := syscall.Setxattr(path, aclName, kept, 0); err != nil {
		t.Skip("this file system has no access lists: ", err)
	}
	for uid, want := range map[int]bool{7: true, 6: false} {
		f, err := reader{as: config.Identity{UID: uid, GID: 8}}.opener(os.OpenFile)(path, os.O_RDONLY, 0)
		if (err == nil) != want {
			t.Errorf("user %d: %v", uid, err)
		}
		if err == nil {
			f.Close()
		}
	}
}
