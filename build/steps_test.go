package build

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestOwnStepsRunAroundMigrateWithTheReleasesEnvironment(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.CollectStatic = true
	p.Env = map[string]string{"OF": "env"}
	p.write(t, "API/note.py", "import os, sys\nopen(os.environ['MEDCTRL_DATA'] + '/did', 'a').write(' '.join(sys.argv[1:]) + ' ' + os.environ['OF'] + '\\n')\nprint('said', sys.argv[1])\n")
	p.Steps.BeforeMigrate = [][]string{{"{python}", "{app}/note.py", "before"}}
	p.Steps.AfterMigrate = [][]string{{"python", "note.py", "after"}, {"{venv}/bin/python", "-m", "note", "again", "{data}"}}
	rel := p.made(t)
	want := "check --deploy\nbefore env\nmigrate --noinput\nafter env\nagain " + p.data() + " env\ncollectstatic --noinput\n"
	if got := p.did(t); got != want {
		t.Errorf("did %q, want %q", got, want)
	}
	var names []string
	for _, s := range rel.Steps {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); !strings.Contains(got, "check before_migrate migrate after_migrate collectstatic") {
		t.Errorf("steps are %s", got)
	}
	log := read(t, filepath.Join(rel.Dir, "build.log"))
	contains(t, log, "== before_migrate (6 of 10)", "== after_migrate (8 of 10)", "said again")
	plain := newProject(t, "").made(t)
	contains(t, read(t, filepath.Join(plain.Dir, "build.log")), "== settings (1 of 8)")
}

func TestOwnStepThatFailsFailsTheBuild(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.Steps.BeforeMigrate = [][]string{{"true"}, {"sh", "-c", "echo no countries >&2; exit 3"}}
	step := p.failed(t)
	if step.Step != "before_migrate" || step.Final || strings.Contains(p.did(t), "migrate") {
		t.Errorf("final %v, did %q: %v", step.Final, p.did(t), step)
	}
	contains(t, step.Error(), "command 2, sh -c", "exit code 3", "no countries")
	p.clean(t)
	p.Steps.BeforeMigrate, p.Steps.AfterMigrate = nil, [][]string{{"false"}}
	if step := p.failed(t); step.Step != "after_migrate" || !step.Final {
		t.Errorf("final %v: %v", step.Final, step)
	}
	p.Steps.AfterMigrate = [][]string{{"no-such-program"}}
	contains(t, p.failed(t).Error(), "command 1, no-such-program")
}

const writesBesideItself = `
import logging.config
logging.config.dictConfig({"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": "debug.log"}}, "root": {"handlers": ["file"]}})
`

func TestApplicationThatWritesRelativePathsRunsInData(t *testing.T) {
	t.Parallel()
	p := newProject(t, writesBesideItself+"import app.views\n")
	p.runAsNobody(t)
	p.environment(t)
	step := p.failed(t)
	source := filepath.Join(p.AppPath(), "debug.log")
	contains(t, step.Error(), "ValueError: Unable to configure handler 'file' | caused by PermissionError", "Permission denied: '"+source+"'")
	if n := strings.Count(step.Error(), source); n != 1 || strings.Contains(step.Error(), tempPrefix) {
		t.Errorf("%d times: %v", n, step)
	}
	p.WorkingDir = "{data}"
	p.Steps.AfterMigrate = [][]string{{"{python}", "-c", "import os, app.views; print('in', os.getcwd())"}}
	rel := p.made(t)
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "in "+p.data())
	if !exists(filepath.Join(p.data(), "debug.log")) {
		t.Error("nothing was written")
	}
}

func TestWorkingDirChangesTheIdentity(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	first := p.made(t)
	p.WorkingDir = "{data}"
	if second := p.made(t); second.Hash == first.Hash {
		t.Error("another folder makes the same release")
	}
}

func TestApplicationIsFoundWhereverItRuns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		dir  string
		want string
	}{
		{[]string{"A=1"}, "/app/", "A=1"},
		{[]string{"A=1"}, "/data", "A=1 PYTHONPATH=/app"},
		{[]string{"PYTHONPATH=/own", "A=1"}, "/data", "A=1 PYTHONPATH=/app:/own"},
		{[]string{"PYTHONPATH="}, "/data", "PYTHONPATH=/app"},
	} {
		if got := strings.Join(WithApp(c.env, "/app", c.dir), " "); got != c.want {
			t.Errorf("%v in %s: %s, want %s", c.env, c.dir, got, c.want)
		}
	}
}

func TestRealMigrationsOfEachDatabaseOfTheListAreUnderItsLock(t *testing.T) {
	t.Parallel()
	p := newDjango(t, `migrations.RunPython(lambda apps, editor: did("migrated %s under %d locks" % (editor.connection.alias, len(__import__("json").load(open(os.environ["MEDCTRL_DATA"] + "/../../.supervisor/migrate/one.json"))["databases"]))))`, `
DATABASES["reports"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.environ["MEDCTRL_DATA"], "reports")}
`)
	p.made(t)
	if got := p.did(t); got != "migrated default under 2 locks\n" {
		t.Errorf("by default: %q", got)
	}
	p.Databases = []string{"reports", "default"}
	p.made(t)
	if got := p.did(t); got != "migrated default under 2 locks\nmigrated reports under 2 locks\n" {
		t.Errorf("did %q", got)
	}
	p.Databases = []string{"default", "no_such"}
	contains(t, p.failed(t).Error(), "no_such")
}
