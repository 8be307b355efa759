package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newDjango makes a project of the real Django, with the app `things`, whose first migration runs
// the operations given, in Python, and with a database in data/ unless the settings name another.
func newDjango(t *testing.T, operations, settings string) *project {
	t.Helper()
	needReal(t)
	needDjango(t)
	p := newProject(t, "")
	p.SystemSitePackages = true
	p.write(t, "API/manage.py", `import os
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    import sys
    execute_from_command_line(sys.argv)
`)
	p.write(t, "API/things/__init__.py", "")
	p.write(t, "API/things/migrations/__init__.py", "")
	p.write(t, "API/things/migrations/0001_initial.py", `import os
from django.db import migrations

def did(what):
    with open(os.path.join(os.environ["MEDCTRL_DATA"], "did"), "a") as f:
        f.write(what + "\n")

class Migration(migrations.Migration):
    atomic = False
    operations = [`+operations+"]\n")
	p.write(t, "API/api_settings/settings/deploy_one.py", `import os
SECRET_KEY = "for a test, and long enough that the check of a deployment says nothing"
INSTALLED_APPS = ["django.contrib.staticfiles", "things"]
STATIC_URL, STATIC_ROOT = "/static/", os.path.join(os.environ["MEDCTRL_DATA"], "static")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.environ["MEDCTRL_DATA"], "db")}}
`+settings)
	p.compiles(t)
	return p
}

const halfWay = `migrations.RunPython(lambda apps, editor: did("first half")), migrations.RunPython(lambda apps, editor: 1 / 0)`

func TestRealMigrationThatFailedHalfWayIsNotRepeatedUnasked(t *testing.T) {
	t.Parallel()
	p := newDjango(t, halfWay, "")
	first := p.failed(t)
	if first.Step != "migrate" || !first.Final {
		t.Errorf("final %v: %v", first.Final, first)
	}
	contains(t, first.Error(), "ZeroDivisionError", "not repeated by itself", "rebuild one")
	halves := func() int { return strings.Count(p.did(t), "first half") }

	must(t, os.Chtimes(p.SettingsFile(), time.Now(), time.Now())) // it is touched
	p.m = New(Options{Runner: newRunner(t), Environ: os.Environ(), Parallel: 1})
	if again := p.failed(t); again.Error() != first.Error() {
		t.Errorf("the first reason\n%v\nbecame\n%v", first, again)
	}
	if halves() != 1 {
		t.Errorf("migrated %d times", halves())
	}
	edit(t, p.SettingsFile(), "A = 1\n")
	p.failed(t)
	if halves() != 2 {
		t.Errorf("migrated %d times after an edit", halves())
	}
	r := p.request()
	r.Force = true
	if _, _, err := p.m.Make(t.Context(), r); err == nil || halves() != 3 {
		t.Errorf("migrated %d times when asked, error %v", halves(), err)
	}
	p.Env = map[string]string{"OTHER": "environment"}
	p.failed(t)
	if halves() != 4 {
		t.Errorf("migrated %d times after env changed", halves())
	}
	p.write(t, "API/things/migrations/0001_initial.py", "from django.db import migrations\nclass Migration(migrations.Migration): pass\n")
	p.made(t)
	if exists(folderOf(p.root, p.Name).FailedRecord()) {
		t.Error("the record of the failed attempt is left")
	}
}

func TestRealDatabaseThatCannotBeReachedIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]bool{"in the process of the check": true, "in a process of its own": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDjango(t, "", `DATABASES["default"]["NAME"] = os.path.join(os.environ["MEDCTRL_DATA"], "mount", "db")`+"\n")
			p.Check = check
			step := p.failed(t)
			if step.Step != "migrate" || step.Final {
				t.Errorf("final %v: %v", step.Final, step)
			}
			contains(t, step.Error(), "unable to open database file")
			must(t, os.Mkdir(filepath.Join(p.data(), "mount"), 0o777))
			p.made(t)
		})
	}
}

func TestRealLoginThatIsRefusedIsNotRepeatedUntilTheEnvironmentChanges(t *testing.T) {
	t.Parallel()
	p := newDjango(t, "", `DATABASES["default"]["ENGINE"] = "guarded"`+"\n")
	p.write(t, "API/guarded/__init__.py", "")
	p.write(t, "API/guarded/base.py", `import os
from django.db.backends.sqlite3 import base

class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, params):
        if os.environ.get("PASSWORD") != "right":
            with open(os.path.join(os.environ["MEDCTRL_DATA"], "did"), "a") as f:
                f.write("login\n")
            raise base.Database.OperationalError(1045, "Access denied for user 'm'@'localhost' (using password: YES)")
        return super().get_new_connection(params)
`)
	p.Env = map[string]string{"PASSWORD": "wrong"}
	step := p.failed(t)
	if step.Step != "migrate" || !step.Final || !step.Own {
		t.Errorf("final %v: %v", step.Final, step)
	}
	contains(t, step.Error(), "Access denied for user", "not repeated until an input, env or env_file changes")
	logins := p.did(t)
	p.m = New(Options{Runner: newRunner(t), Environ: os.Environ(), Parallel: 1}) // as another supervisor does
	if again := p.failed(t); again.Error() != step.Error() || p.did(t) != logins {
		t.Errorf("it was tried again: %v", again)
	}
	p.Env = map[string]string{"PASSWORD": "right"}
	p.made(t)
}

// It was begun, but its database comes back without anybody saying so.
func TestRealMigrationWhoseDatabaseWasLostIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newDjango(t, `migrations.RunPython(lambda apps, editor: did("half")), migrations.RunPython(lambda apps, editor: lose())`, "")
	path := filepath.Join(p.AppPath(), "things", "migrations", "0001_initial.py")
	must(t, os.WriteFile(path, []byte(`from django.db.utils import OperationalError
def lose():
    if os.path.exists(os.path.join(os.environ["MEDCTRL_DATA"], "up")): return
    try:
        raise ConnectionResetError(104, "Connection reset by peer")
    except OSError as e:
        raise OperationalError(2013, "Lost connection to MySQL server during query") from e
`+read(t, path)), 0o644))
	step := p.failed(t)
	if step.Step != "migrate" || step.Final || exists(folderOf(p.root, p.Name).FailedRecord()) {
		t.Errorf("final %v: %v", step.Final, step)
	}
	contains(t, step.Error(), "Lost connection to MySQL server")
	must(t, os.WriteFile(filepath.Join(p.data(), "up"), nil, 0o644))
	p.made(t)
	if n := strings.Count(p.did(t), "half"); n != 2 {
		t.Errorf("%d times", n)
	}
}

// Another server that is away comes back too, but what a migration did before it asked for that is done.
func TestRealMigrationThatMissesAnotherServerIsNotRepeatedUnasked(t *testing.T) {
	t.Parallel()
	const refused = `__import__("socket").create_connection(("127.0.0.1", 1))`
	p := newDjango(t, `migrations.RunPython(lambda apps, editor: did("half")), migrations.RunPython(lambda apps, editor: `+refused+")", "")
	step := p.failed(t)
	if step.Step != "migrate" || !step.Final || p.did(t) != "half\n" {
		t.Errorf("final %v, did %q: %v", step.Final, p.did(t), step)
	}
	contains(t, step.Error(), "ConnectionRefusedError")

	p = newDjango(t, "", "")
	p.write(t, "API/things/apps.py", "from django.apps import AppConfig\nclass Things(AppConfig):\n    name, default = 'things', True\n    def ready(self):\n        "+refused+"\n")
	p.Check = false
	if step = p.failed(t); step.Step != "migrate" || step.Final {
		t.Errorf("before it began: final %v: %v", step.Final, step)
	}
	contains(t, step.Error(), "ConnectionRefusedError") // and not what a second try in the same process says
}

func TestRealMigrationThatCannotBeLoadedIsNotRepeatedUnasked(t *testing.T) {
	t.Parallel()
	p := newDjango(t, "no_such_name", "")
	if step := p.failed(t); !step.Final {
		t.Error(step)
	}
}

func TestWhatFollowsAMigrationIsNotRepeatedUnasked(t *testing.T) {
	t.Parallel()
	p := newProject(t, "if on('collectstatic'): sys.exit(1)\n")
	p.CollectStatic = true
	if step := p.failed(t); step.Step != "collectstatic" || !step.Final {
		t.Error(step)
	}
	p.Migrate = false
	if step := p.failed(t); step.Final {
		t.Error(step)
	}
}

func TestCheckThatFailsByTheCodeItselfIsNotRepeatedUnasked(t *testing.T) {
	t.Parallel()
	p := newProject(t, "if on('check'): did('tried'); raise ValueError('it would fail again')\n")
	step := p.failed(t)
	if step.Step != "check" || !step.Final || !strings.Contains(step.Error(), "not repeated until an input, env or env_file changes") {
		t.Error(step)
	}
	again := p.failed(t)
	if again.Error() != step.Error() || strings.Count(p.did(t), "tried") != 1 {
		t.Errorf("%q, did %q", again, p.did(t))
	}
	p.write(t, "API/manage.py", plainManage+"did(' '.join(sys.argv[1:]))\n")
	p.made(t)
}

func TestCheckThatTheSystemFailedIsRepeated(t *testing.T) {
	t.Parallel()
	p := newProject(t, "if on('check'): open('/nowhere/mounted/later')\n")
	if step := p.failed(t); step.Step != "check" || step.Final {
		t.Error(step)
	}
}

// Python allows that once in a process.
func TestRealManagePyMayDoWhatAProcessCanDoOnlyOnce(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]bool{"after the check": true, "after the look at the settings": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDjango(t, `migrations.RunPython(lambda apps, editor: did("migrated"))`, "")
			p.write(t, "API/manage.py", "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"+read(t, filepath.Join(p.AppPath(), "manage.py")))
			p.Check, p.CollectStatic = check, true
			rel := p.made(t)
			if p.did(t) != "migrated\n" {
				t.Errorf("did %q", p.did(t))
			}
			contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "once more in one of its own")
			locks, err := os.ReadDir(filepath.Join(p.root, ".supervisor", "migrate"))
			if err != nil || len(locks) != 0 {
				t.Errorf("after the migration %d locks are left, error %v", len(locks), err)
			}
		})
	}
}

// elsewhere are first lines of a manage.py that goes on in another process.
var elsewhere = map[string]string{
	"in its place":    "import os, sys\nif not os.environ.get('AGAIN'):\n    os.environ['AGAIN'] = '1'\n    os.execv(sys.executable, [sys.executable] + sys.argv)\n",
	"as its child":    "import os, subprocess, sys\nif not os.environ.get('AGAIN'):\n    sys.exit(subprocess.call([sys.executable] + sys.argv, env=dict(os.environ, AGAIN='1')))\n",
	"as another self": "import os\nif os.fork():\n    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))\n",
}

// A manage.py may look for another interpreter, or set variables that a program reads when it starts.
func TestRealManagePyMayGoOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	for name, head := range elsewhere {
		for what, operations := range map[string]string{"good": `migrations.RunPython(lambda apps, editor: did("first half"))`, "bad": halfWay} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				p := newDjango(t, operations, "")
				p.write(t, "API/manage.py", head+read(t, filepath.Join(p.AppPath(), "manage.py")))
				p.Check = what == "good"
				if what == "good" {
					p.made(t)
				} else if step := p.failed(t); step.Step != "migrate" || !step.Final {
					t.Errorf("final %v: %v", step.Final, step)
				}
				if p.did(t) != "first half\n" {
					t.Errorf("did %q", p.did(t))
				}
			})
		}
	}
}

func TestCommandThatFailsForItselfIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, "if on('collectstatic'):\n  did('collects')\n  sys.exit(3)\n")
	p.CollectStatic = true
	contains(t, p.failed(t).Error(), "collectstatic", "exit code 3")
	if n := strings.Count(p.did(t), "collects"); n != 2 {
		t.Errorf("%d times", n)
	}
}
