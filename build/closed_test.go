package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
