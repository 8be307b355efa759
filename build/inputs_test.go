package build

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestEveryInputCountsAndNothingElse(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, "")
	p.write(t, "API/app/gone.py", "")
	p.write(t, "requirements.txt", "-r more/base.txt\n./local\n")
	p.write(t, "more/base.txt", "-c limits.txt\n")
	p.write(t, "more/limits.txt", "\n")
	p.write(t, "local/setup.py", "")
	p.write(t, settings+"common.py", "A = 1\n")
	p.write(t, settings+"deploy_two.py", "A = 1\n")
	identity := func() string {
		t.Helper()
		j, err := p.m.prepare(t.Context(), p.request())
		must(t, err)
		return j.hash
	}
	last := identity()
	for _, c := range []struct {
		name   string
		change func()
		counts bool
	}{
		{"an application file", func() { p.write(t, "API/app/views.py", "A = 2\n") }, true},
		{"a new file", func() { p.write(t, "API/app/new.txt", "") }, true},
		{"a file that went", func() { must(t, os.Remove(filepath.Join(p.Source, "API/app/gone.py"))) }, true},
		{"a mode", func() { must(t, os.Chmod(filepath.Join(p.Source, "API/app/new.txt"), 0o755)) }, true},
		{"a link", func() { must(t, os.Symlink("new.txt", filepath.Join(p.Source, "API/app/link"))) }, true},
		{"the settings", func() { p.write(t, settings+"deploy_one.py", "A = 3\n") }, true},
		{"the shared settings", func() { p.write(t, settings+"common.py", "A = 4\n") }, true},
		{"the requirements", func() { edit(t, p.RequirementsFile(), "# more\n") }, true},
		{"included requirements", func() { p.write(t, "more/base.txt", "# more\n-c limits.txt\n") }, true},
		{"included constraints", func() { p.write(t, "more/limits.txt", "# more\n") }, true},
		{"a local project", func() { p.write(t, "local/setup.py", "# more\n") }, true},
		{"the interpreter", func() { p.write(t, "python", strings.Replace(fakePython, `"3"`, `"4"`, 1)) }, true},
		{"pip_args", func() { p.PipArgs = []string{"--no-index"} }, true},
		{"check", func() { p.Check = false }, true},
		{"umask", func() { p.Umask = 0o077 }, true},

		{"another build's settings", func() { p.write(t, settings+"deploy_two.py", "A = 5\n") }, false},
		{"another build's new settings", func() { p.write(t, settings+"deploy_three.py", "A = 6\n") }, false},
		{"bytecode", func() { p.write(t, "API/app/__pycache__/views.cpython-311.pyc", "x") }, false},
		{"git's folder", func() { p.write(t, "API/.git/HEAD", "x") }, false},
		{"what an editor has open", func() { p.write(t, "API/app/.views.py.swp", "x"); p.write(t, "API/app/views.py~", "x") }, false},
		{"a file beside the application", func() { p.write(t, "README.md", "x") }, false},
		{"workers", func() { p.Workers = 7 }, false},
		{"env", func() { p.Env["COLOUR"] = "red" }, false},
		{"step_timeout", func() { p.StepTimeout++ }, false},

		{"another build's settings, once named", func() { p.write(t, settings+"deploy_one.py", "from .deploy_two import *\n") }, true},
		{"another build's settings, named", func() { p.write(t, settings+"deploy_two.py", "A = 7\n") }, true},
		{"settings named by shared ones", func() { p.write(t, settings+"common.py", "from .deploy_three import *\n") }, true},
		{"settings that shared ones name", func() { p.write(t, settings+"deploy_three.py", "A = 8\n") }, true},
	} {
		c.change()
		now := identity()
		if (now != last) != c.counts {
			t.Errorf("%s: counts is %v, want %v", c.name, now != last, c.counts)
		}
		last = now
	}
}

func TestGoingBackIsTheReleaseOfThen(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	first := p.made(t)
	p.write(t, "API/more.py", "A = 1\n")
	p.made(t)
	must(t, os.Remove(filepath.Join(p.Source, "API/more.py")))
	if rel, fresh, err := p.m.Make(t.Context(), p.request()); err != nil || fresh || rel.ID != first.ID {
		t.Errorf("%s, fresh %v, error %v: want %s", rel.ID, fresh, err, first.ID)
	}
}

func TestMissingInputsAreNamed(t *testing.T) {
	t.Parallel()
	for gone, change := range map[string]func(*config.Build){
		"API/api_settings/settings/deploy_one.py": nil,
		"requirements.txt":                        nil,
		"API":                                     nil,
		"no-such-python":                          func(b *config.Build) { b.Python = "no-such-python" },
		"no_such_user_here":                       func(b *config.Build) { b.User = "no_such_user_here" },
	} {
		p := newProject(t, "")
		must(t, os.RemoveAll(filepath.Join(p.Source, gone)))
		if change != nil {
			change(&p.Build)
		}
		_, _, err := p.m.Make(t.Context(), p.request())
		if err == nil || !strings.Contains(err.Error(), gone) {
			t.Errorf("error %v: want %s named", err, gone)
		}
		p.clean(t)
	}
}

func TestRequirementsThatHaveNoEndAreRefused(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	must(t, syscall.Mkfifo(filepath.Join(p.Source, "pipe.txt"), 0o644))
	for _, file := range []string{"pipe.txt", "/dev/zero"} {
		p.write(t, "requirements.txt", "-r "+file+"\n")
		_, _, err := p.m.Make(t.Context(), p.request())
		if err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestApplicationThatIsTheSourceItselfIsBuilt(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.Source, p.AppDir = p.AppPath(), "."
	for _, name := range []string{"requirements.txt", "build.log", "manifest.json", "release.json"} {
		p.write(t, name, "")
	}
	p.environment(t)
	r := p.whileCopying(func() { p.write(t, "late.py", "") }) // it is copied again
	rel, _, err := p.m.Make(t.Context(), r)
	must(t, err)
	if !exists(filepath.Join(rel.App(p.Build), "manage.py")) || read(t, filepath.Join(rel.App(p.Build), "manifest.json")) != "" {
		t.Error("the application in the release is not that of the source")
	}
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "== settings", "== migrate")
}

func TestEditOfTheSameSizeAndTimeIsNeverServedStale(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.compiles(t)
	path := filepath.Join(p.Source, "API/app/views.py")
	for _, text := range []string{"A = 1\n", "A = 2\n", "A = 3\n"} {
		before, err := os.Stat(path)
		must(t, err)
		p.write(t, "API/app/views.py", text)
		must(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
		rel := p.made(t)
		if got := p.python(t, rel, "import app.views; print('A =', app.views.A)"); got != text {
			t.Errorf("served %q, want %q", got, text)
		}
	}
}

func TestPlaceholderThatComesMeanwhileIsRefused(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	r := p.whileCopying(func() { edit(t, p.SettingsFile(), "SECRET_KEY = 'random secret key'\n") })
	rel, _, err := p.m.Make(t.Context(), r)
	if err == nil {
		t.Fatal("made ", rel.ID)
	}
	contains(t, err.Error(), p.SettingsFile()+":2:", "random secret key")
	p.clean(t)
}
