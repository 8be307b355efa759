package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// guarded is a database that lets in who knows the password, and can be away.
const guarded = `from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError
import os
class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, params):
        if os.path.exists(os.path.join(os.environ["MEDCTRL_DATA"], "down")):
            raise OperationalError(2003, "Can't connect to MySQL server on 'db' (111)")
        if os.environ.get("DB_PASSWORD") != "right":
            raise OperationalError(1045, "Access denied for user 'm'@'localhost' (using password: YES)")
        return super().get_new_connection(params)
`

// withPassword is a project whose release was made with the right password of its database.
func withPassword(t *testing.T, settings string) (*project, Release) {
	t.Helper()
	p := newDjango(t, `migrations.RunPython(lambda apps, editor: did("migrated"))`, settings)
	p.write(t, "API/guarded/__init__.py", "")
	p.write(t, "API/guarded/base.py", guarded)
	edit(t, p.SettingsFile(), "DATABASES['default']['ENGINE'] = 'guarded'\n")
	p.Env = map[string]string{"DB_PASSWORD": "right"}
	return p, p.made(t)
}

// look checks a release in the environment env.
func (p *project) look(t *testing.T, rel Release, env map[string]string) *LookError {
	t.Helper()
	b := p.Build
	b.Env = env
	environ, err := config.Environ(b, os.Environ())
	must(t, err)
	err = p.m.Check(t.Context(), Look{Root: p.root, Build: b, Release: rel, Environ: environ})
	if err == nil {
		return nil
	}
	var failed *LookError
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return failed
}

func TestRealWrongPasswordIsFoundBeforeAReleaseHasIt(t *testing.T) {
	t.Parallel()
	p, rel := withPassword(t, "")
	before := p.did(t)
	if err := p.look(t, rel, p.Env); err != nil {
		t.Error(err)
	}
	wrong := map[string]string{"DB_PASSWORD": "wrong"}
	err := p.look(t, rel, wrong)
	if err == nil || err.Away {
		t.Fatalf("a wrong password: %+v", err)
	}
	contains(t, err.Error(), "check of the changed environment: exit code 1", "Access denied for user")
	if strings.Contains(err.Error(), rel.Dir) || strings.Contains(err.Error(), "caused by") {
		t.Errorf("not in the words of the source, or twice: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(p.data(), "down"), nil, 0o644))
	if err := p.look(t, rel, wrong); err == nil || !err.Away {
		t.Errorf("a database that is away: %+v", err)
	}
	p.Migrate = false
	if err := p.look(t, rel, wrong); err != nil {
		t.Errorf("a database that is not ours to look at: %v", err)
	}
	p.Check = false
	p.StepTimeout = 0 // nothing is started
	if err := p.look(t, rel, wrong); err != nil {
		t.Error(err)
	}
	if p.did(t) != before {
		t.Errorf("it did %q", strings.TrimPrefix(p.did(t), before))
	}
}

func TestRealDatabaseWithoutTheMigrationsIsFoundBeforeAReleaseHasIt(t *testing.T) {
	t.Parallel()
	p, rel := withPassword(t, "DATABASES['default']['NAME'] += os.environ.get('OTHER', '')\n")
	err := p.look(t, rel, map[string]string{"DB_PASSWORD": "right", "OTHER": "2"})
	if err == nil || err.Away {
		t.Fatalf("another database: %+v", err)
	}
	contains(t, err.Error(), "the database default lacks the migrations things.0001_initial: `rebuild one` applies them")
	if strings.Count(p.did(t), "migrated") != 1 {
		t.Error("it migrated")
	}
}

func TestRealEveryDatabaseThatIsMigratedIsLookedAt(t *testing.T) {
	t.Parallel()
	p, rel := withPassword(t, "DATABASES['reports'] = dict(DATABASES['default'], ENGINE='django.db.backends.sqlite3', NAME=os.environ['MEDCTRL_DATA'] + os.environ.get('REPORTS', '/reports'))\n")
	env := map[string]string{"DB_PASSWORD": "right", "REPORTS": "/nowhere/db"}
	if err := p.look(t, rel, env); err != nil {
		t.Errorf("a database that is not migrated: %v", err)
	}
	p.Databases = []string{"default", "reports"}
	err := p.look(t, rel, env)
	if err == nil || !err.Away { // its folder may be a mount that is away
		t.Fatalf("reports is not looked at: %+v", err)
	}
	contains(t, err.Error(), "unable to open database file")
}

func TestRealCheckThatFailsInAnotherEnvironmentIsFoundBeforeAReleaseHasIt(t *testing.T) {
	t.Parallel()
	p, rel := withPassword(t, "if 'KEY' in os.environ: raise KeyError('STORAGE')\n")
	err := p.look(t, rel, map[string]string{"DB_PASSWORD": "right", "KEY": ""})
	if err == nil || err.Away {
		t.Fatalf("settings that fail: %+v", err)
	}
	contains(t, err.Error(), "KeyError: 'STORAGE'")
}

// A database may accept a connection and say nothing.
func TestRealCheckThatHangsEndsInTime(t *testing.T) {
	t.Parallel()
	p, rel := withPassword(t, "import time\nif 'HANGS' in os.environ: time.sleep(3600)\n")
	p.StepTimeout = 3 * time.Second
	err := p.look(t, rel, map[string]string{"DB_PASSWORD": "right", "HANGS": ""})
	if err == nil || !err.Away {
		t.Fatalf("%+v", err)
	}
	contains(t, err.Error(), "longer than step_timeout")
}

// What is no Django has its own ways, and no release may fail by ours.
func TestApplicationWithoutDjangoIsNotLookedAt(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	rel := p.made(t)
	if err := p.look(t, rel, nil); err != nil {
		t.Error(err)
	}
}

// Its supervisor may be killed, or replaced.
func TestRealCheckEndsWithTheSupervisorThatAsked(t *testing.T) {
	t.Parallel()
	p, rel := withPassword(t, "import time\nopen(os.environ['MEDCTRL_DATA'] + '/hangs', 'w').close()\nif 'HANGS' in os.environ: time.sleep(3600)\n")
	must(t, os.Remove(filepath.Join(p.data(), "hangs")))
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	theirs := os.NewFile(uintptr(fds[1]), "descriptor 3")
	asked := exec.CommandContext(t.Context(), rel.Python(), "-c", driver, rel.App(p.Build))
	asked.Dir, asked.ExtraFiles = rel.App(p.Build), []*os.File{theirs}
	asked.Env = append(os.Environ(), "HANGS=", "DB_PASSWORD=right", "MEDCTRL_DATA="+p.data(), "MEDCTRL_BUILD=one", "DJANGO_SETTINGS_MODULE="+p.SettingsModule())
	must(t, asked.Start())
	must(t, theirs.Close())
	_, err = unix.Write(fds[0], []byte("look\x00no check\x00\x00default"))
	must(t, err)
	until(t, "it to hang", func() bool { return exists(filepath.Join(p.data(), "hangs")) })
	must(t, unix.Close(fds[0]))
	if err := asked.Wait(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("it ended with %v", err)
	}
}
