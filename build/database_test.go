package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// withDatabase gives the project a Django that has nothing but settings, of one database, and a
// migrate that writes data/migrating and waits for data/go.
func withDatabase(t *testing.T, database string) *project {
	t.Helper()
	p := newProject(t, `
data = os.environ["MEDCTRL_DATA"]
if on("migrate"):
    open(data + "/migrating", "w").close()
    while not os.path.exists(data + "/go"): time.sleep(0.005)
`)
	p.write(t, "API/django/__init__.py", "")
	p.write(t, "API/django/conf.py", "import importlib, os\nsettings = importlib.import_module(os.environ['DJANGO_SETTINGS_MODULE'])\n")
	p.setDatabase(t, database)
	return p
}

func (p *project) setDatabase(t *testing.T, database string) {
	t.Helper()
	p.write(t, "API/api_settings/settings/deploy_"+p.Name+".py", "configured = True\nDATABASES = {'default': "+database+"}\n")
}

func (p *project) migrating() bool { return exists(filepath.Join(p.data(), "migrating")) }

func (p *project) goOn(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(p.data(), 0o750))
	must(t, os.WriteFile(filepath.Join(p.data(), "go"), nil, 0o644))
}

// waits says that the build waits for another's migration.
func (p *project) waits() bool {
	log, _ := readLog(p.root, p.Name) // there may be none yet
	return strings.Contains(string(log), "another migration")
}

func TestOneDatabaseUnderTwoNamesIsMigratedByOneAtATime(t *testing.T) {
	t.Parallel()
	for name, names := range map[string][2]string{
		"file":   {"{'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'DIR/db'}", "{'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'DIR/alias/db'}"},
		"server": {"{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm', 'HOST': 'localhost'}", "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm', 'HOST': '127.0.0.1', 'PORT': 3306}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, os.Symlink(dir, filepath.Join(dir, "alias")))
			p := withDatabase(t, strings.ReplaceAll(names[0], "DIR", dir))
			other := p.second(t)
			other.setDatabase(t, strings.ReplaceAll(names[1], "DIR", dir))
			first := p.start(t)
			until(t, "the first to migrate", p.migrating)
			second := other.start(t)
			until(t, "the second to wait", other.waits)
			if other.migrating() {
				t.Error("two migrations of one database")
			}
			other.goOn(t)
			p.goOn(t)
			if a, b := first.wait(), second.wait(); a != nil || b != nil {
				t.Error(a, b)
			}
		})
	}
}

func TestDifferentDatabasesAreMigratedAtOnce(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'one'}")
	other := p.second(t)
	other.setDatabase(t, "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'two'}")
	first, second := p.start(t), other.start(t)
	until(t, "both to migrate", func() bool { return p.migrating() && other.migrating() })
	p.goOn(t)
	other.goOn(t)
	if a, b := first.wait(), second.wait(); a != nil || b != nil {
		t.Error(a, b)
	}
}

func TestDatabaseThatTheSettingsLackIsNamedBeforeAnyIsMigrated(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm'}, 'reports': {'NAME': 'r'}")
	p.Databases = []string{"default", "reprots"}
	p.goOn(t)
	step := p.failed(t)
	if said := step.Error(); !strings.Contains(said, "migrate names the database reprots, and DATABASES in the settings has only default, reports") || !step.Final || !step.Own {
		t.Errorf("%q, final %v, by its own fault %v", said, step.Final, step.Own)
	}
	if p.migrating() {
		t.Error("the other database was migrated")
	}
	p.Databases[1] = "reports"
	p.made(t)
}

func TestDatabaseIsFreeOnceItIsMigrated(t *testing.T) {
	t.Parallel()
	const database = "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm'}"
	p := withDatabase(t, database)
	edit(t, filepath.Join(p.AppPath(), "manage.py"), "if on('collectstatic'): time.sleep(600)\n")
	p.CollectStatic, p.StepTimeout = true, time.Hour
	other := p.second(t)
	other.CollectStatic = false
	other.setDatabase(t, database)
	p.goOn(t)
	other.goOn(t)
	first := p.start(t)
	until(t, "the first to collect", func() bool { return strings.Contains(p.did(t), "collectstatic") })
	second := other.start(t)
	until(t, "the second to be made", second.ended)
	must(t, second.wait())
	first.cancel()
	if first.wait() == nil {
		t.Error("made")
	}
}

func TestKilledMigrationFreesItsDatabase(t *testing.T) {
	t.Parallel()
	const database = "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm'}"
	p := withDatabase(t, database)
	other := p.second(t)
	other.setDatabase(t, database)
	edit(t, filepath.Join(p.AppPath(), "manage.py"), "if on('migrate') and os.environ['MEDCTRL_BUILD'] == 'one': os.kill(os.getpid(), 9)\n")
	p.goOn(t)
	other.goOn(t)
	step := p.failed(t)
	contains(t, step.Error(), "migrate", "killed by SIGKILL")
	other.made(t)
}

func TestSettingsThatFailFailMigrate(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, "{}")
	p.Check = false
	p.write(t, "API/api_settings/settings/deploy_one.py", "import no_such_module_here\n")
	edit(t, filepath.Join(p.AppPath(), "manage.py"), "import django.conf\n")
	p.goOn(t)
	step := p.failed(t)
	contains(t, step.Error(), "migrate", "no_such_module_here")
}
