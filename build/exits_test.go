package build

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRealMigrationThatExitsIsNotTakenForDone(t *testing.T) {
	t.Parallel()
	const exits = `migrations.RunPython(lambda apps, editor: did("half")), migrations.RunPython(lambda apps, editor: `
	for name, c := range map[string]struct{ operations, manage string }{
		"the command":        {operations: exits + `__import__("sys").exit(0))`},
		"the process":        {operations: exits + `__import__("os")._exit(0))`},
		"manage.py":          {manage: "import os, sys\nif sys.argv[1] == 'migrate':\n    sys.exit(0)\n"},
		"manage.py, at once": {manage: "import os, sys\nif sys.argv[1] == 'migrate':\n    os._exit(0)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDjango(t, c.operations, "")
			p.write(t, "API/manage.py", c.manage+read(t, filepath.Join(p.AppPath(), "manage.py")))
			p.Check = false
			step := p.failed(t)
			if step.Step != "migrate" || !step.Final {
				t.Errorf("final %v: %v", step.Final, step)
			}
			contains(t, step.Error(), "ended with exit code 0 before it was done", "the database default lacks the migrations things.0001_initial")
			if c.operations != "" && p.did(t) != "half\n" {
				t.Errorf("did %q", p.did(t))
			}
		})
	}
}

func TestRealMigrationThatExitsOnceItIsDoneIsDone(t *testing.T) {
	t.Parallel()
	const migrated = `migrations.RunPython(lambda apps, editor: did("migrated"))`
	for name, c := range map[string]struct{ ready, manage string }{
		"the command": {ready: "        from django.db.models.signals import post_migrate\n        post_migrate.connect(lambda **_: __import__('sys').exit(0), sender=self, weak=False)\n"},
		"the process": {ready: "        from django.db.models.signals import post_migrate\n        post_migrate.connect(lambda **_: __import__('os')._exit(0), sender=self, weak=False)\n"},
		"manage.py":   {manage: "    sys.exit(0)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDjango(t, migrated, "")
			if c.ready != "" {
				p.write(t, "API/things/apps.py", "from django.apps import AppConfig\nclass Things(AppConfig):\n    name, default = 'things', True\n    def ready(self):\n"+c.ready)
			}
			edit(t, filepath.Join(p.AppPath(), "manage.py"), c.manage)
			p.Check, p.CollectStatic = false, true
			p.made(t)
			if p.did(t) != "migrated\n" {
				t.Errorf("did %q", p.did(t))
			}
		})
	}
}

func TestRealProgramThatClosesAllDescriptorsIsBuilt(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"a range":       "import os\nos.closerange(3, 1024)\n",
		"to the limit":  "import os, resource\nos.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n",
		"one by one":    "import os\nfor fd in range(3, 2048):\n    try: os.close(fd)\n    except OSError: pass\n",
		"all exchanged": "import os\nfrom os import closerange\ncloserange(0, 2048)\nos.open(os.devnull, os.O_RDWR)\nos.dup2(0, 1)\nos.dup2(0, 2)\n",
	} {
		for where, file := range map[string]string{"manage.py": "API/manage.py", "settings": settings + "deploy_one.py"} {
			t.Run(name+", "+where, func(t *testing.T) {
				t.Parallel()
				p := newDjango(t, `migrations.RunPython(lambda apps, editor: did("migrated"))`, "")
				p.write(t, file, code+read(t, filepath.Join(p.Source, file)))
				p.CollectStatic = true
				p.made(t)
				if p.did(t) != "migrated\n" {
					t.Errorf("did %q", p.did(t))
				}
			})
		}
	}
}

func TestProgramThatClosesDescriptorsPastPythonIsNamed(t *testing.T) {
	t.Parallel()
	p := newProject(t, "import posix\nposix.closerange(3, 1 << 20)\n")
	step := p.failed(t)
	if step.Step != "check" {
		t.Error(step.Step)
	}
	contains(t, step.Error(), "closed or replaced all descriptors of the process")
}

// What a command prints goes to the log, whatever the one before has done to its output.
func TestOutputThatACommandClosedIsThereForTheNext(t *testing.T) {
	t.Parallel()
	p := newProject(t, "print(sys.argv[1] + ' speaks', flush=True)\nos.close(1)\nos.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n"+
		"if on('collectstatic'): raise ValueError('of collectstatic')\n")
	p.CollectStatic = true
	step := p.failed(t)
	contains(t, step.Error(), "ValueError: of collectstatic")
	log, err := readLog(p.root, "one")
	must(t, err)
	for _, command := range []string{"check", "migrate", "collectstatic"} {
		if !strings.Contains(string(log), command+" speaks") {
			t.Errorf("%s is missing in\n%s", command, log)
		}
	}
}
