package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestEnvironmentIsSharedByReleasesOfTheSameRequirements(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, "")
	first := p.made(t)
	p.write(t, "API/more.py", "A = 1\n")
	second := p.made(t)
	if len(p.pips(t)) != 1 || first.Venv != second.Venv {
		t.Errorf("pip ran %q for %s and %s", p.pips(t), first.Venv, second.Venv)
	}
	for name, change := range map[string]func(){
		"requirements": func() { p.write(t, "requirements.txt", "# more\n") },
		"pip_args":     func() { p.PipArgs = []string{"--no-index"} },
		"interpreter":  func() { p.write(t, "python", strings.Replace(fakePython, `"3"`, `"4"`, 1)) },
	} {
		before := len(p.pips(t))
		change()
		if third := p.made(t); len(p.pips(t)) != before+1 || third.Venv == second.Venv {
			t.Errorf("other %s: pip ran %q", name, p.pips(t))
		}
	}
}

func TestHalfAnEnvironmentIsMadeAgain(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, "")
	first := p.made(t)
	// The record says so last: until then the environment is half.
	must(t, writeEnvironmentRecord(first.Venv, environmentRecord{}))
	rubbish := filepath.Join(first.Venv, "rubbish")
	must(t, os.WriteFile(rubbish, nil, 0o600))
	if all, err := List(p.root, p.Name); err != nil || len(all) != 0 {
		t.Errorf("releases without an environment: %v %v", all, err)
	}
	if second := p.made(t); second.ID <= first.ID || len(p.pips(t)) != 2 || exists(rubbish) {
		t.Errorf("%s after %s, pip ran %q", second.ID, first.ID, p.pips(t))
	}
}

func TestEnvironmentIsCompleteOnlyWhenAllOfItIsThere(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, `echo one package is bad; ls -a "$VIRTUAL_ENV" >"$PIPS.during"; cat "$VIRTUAL_ENV".json >>"$PIPS.during"; exit 7`)
	step := p.failed(t)
	contains(t, step.Error(), "install", "exit code 7", "one package is bad")
	during := read(t, p.Env["PIPS"]+".during")
	contains(t, during, "pyvenv.cfg", `"complete":false`)
	if p.did(t) != "" {
		t.Errorf("it went on: %s", p.did(t))
	}
	p.clean(t)
	p.Env["ON_PIP"] = ""
	p.made(t)
}

func TestRealPipNamesARequirementThatCannotBeHadWithoutPasswords(t *testing.T) {
	t.Parallel()
	needReal(t)
	p := newProject(t, "")
	p.PipArgs = []string{"--retries", "0", "--timeout", "1", "--trusted-host", "127.0.0.1", "--index-url", "http://someone:s3cr3t@127.0.0.1:9/simple"}
	p.write(t, "requirements.txt", "no-such-package-anywhere==1.2.3\n")
	step := p.failed(t)
	contains(t, step.Error(), "install", "no-such-package-anywhere==1.2.3")
	if log := read(t, step.Log); strings.Contains(step.Error()+log, "s3cr3t") {
		t.Errorf("error %v, log %s", step, log)
	}
	p.clean(t)
}

func TestPasswordsForPipAreNeitherOnACommandLineNorInTheLog(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	// What it was given by files and by the environment, and all of it on its output.
	p.fakePip(t, `while [ $# -gt 0 ]; do [ "$1" = -r ] && cat "$2"; shift; done >>"$PIPS.read"
		echo "$PIP_PROXY" >>"$PIPS.read"; cat "$PIPS.read"; echo "$SECRET"; exit 3`)
	p.Env["TOKEN"], p.Env["SECRET"] = "t0ken/", "p%40ss5 p@ss5"
	p.write(t, "requirements.txt", "--extra-index-url https://${TOKEN}@two/\n")
	p.PipArgs = []string{
		"--index-url=https://u:secret1@one/", "-i", "https://u:secret2@one/", "-fhttps://u:secret3@one/", "--extra-index", "https://u:sec@ret4@one/",
		"https://u:secret5@one/a.whl", "--proxy", "http://u:secret6@one/", "--extra-index-url", "https://u:p%40ss5@one/", "--no-index", "plain",
	}
	step := p.failed(t)
	line := strings.Join(p.pips(t), " ")
	given := read(t, p.Env["PIPS"]+".read")
	contains(t, given, "--index-url https://u:secret1@one/\n", "--index-url https://u:secret2@one/\n", "--find-links https://u:secret3@one/\n",
		"--extra-index-url https://u:sec@ret4@one/\n", "\nhttps://u:secret5@one/a.whl\n", "http://u:secret6@one/\n")
	contains(t, line, "--no-index", "plain")
	for _, secret := range []string{"secret1", "secret2", "secret3", "ret4", "secret5", "secret6", "p%40ss5", "p@ss5"} {
		for where, text := range map[string]string{"command line": line, "error": step.Error(), "log": read(t, step.Log)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in the %s: %s", secret, where, text)
			}
		}
	}
}

func TestMissingGunicornIsSaidBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, "")
	p.Command = nil
	step := p.failed(t)
	contains(t, step.Error(), "settings", "gunicorn", p.RequirementsFile())
	if !step.Final || !step.Own {
		t.Error("it would be tried again")
	}
	if p.did(t) != "" || exists(p.Env["PIPS"]) {
		t.Errorf("it went on: %s", p.did(t))
	}
	p.Command = []string{"{python}"}
	p.made(t) // which is no input of the release
	p.Command = nil
	// A package that nobody here knows may bring it along: an index is what knows.
	p.write(t, "requirements.txt", "demo @ https://example.org/demo.zip\n")
	contains(t, p.failed(t).Error(), "install", "gunicorn", p.RequirementsFile())
	p.Command = []string{"{python}"}
	if log := read(t, filepath.Join(p.made(t).Dir, "build.log")); strings.Contains(log, "gunicorn") {
		t.Errorf("who needs no gunicorn is told of it: %s", log)
	}
}

func TestMissingPartsOfPythonNameTheirPackage(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct{ says, does string }{
		"apt install python3-venv": {`"own"`, "exit 1"},
		"apt install python3-pip":  {`""`, `exec cp -R "$EMPTY_VENV/." "$4"`},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.fakePip(t, "")
			p.write(t, "python", strings.NewReplacer(`"own"`, c.says, `exec cp -R "$EMPTY_VENV/." "$4"`, c.does).Replace(fakePython))
			contains(t, p.failed(t).Error(), want)
			p.clean(t)
		})
	}
}

func TestInterpreterThatFailsSaysHow(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, "")
	p.write(t, "python", "#!/bin/sh\necho this is no Python >&2\nexit 1\n")
	_, _, err := p.m.Make(t.Context(), p.request())
	if err == nil {
		t.Fatal("made")
	}
	contains(t, err.Error(), "this is no Python", p.Python)
}

// A package's .pth file and the environment's interpreter are what the build's user wrote; to
// compile is for us.
func TestNothingOfTheEnvironmentRunsInTheCompileStep(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.fakePip(t, `for dir in "$VIRTUAL_ENV"/lib/python*/site-packages; do
		printf %s 'import os; open(os.environ["PIPS"] + ".pth", "a").write(os.environ.get("DJANGO_SETTINGS_MODULE", "none") + " ")' >"$dir/x.pth"
	done`)
	p.write(t, "python", strings.Replace(fakePython, "*\"-m compileall\"*) exit ;;\n", "", 1))
	rel := p.made(t)
	if len(bytecode(t, rel)) == 0 {
		t.Error("nothing was compiled")
	}
	ran := read(t, p.Env["PIPS"]+".pth")
	contains(t, ran, "deploy_one")
	if strings.Contains(ran, "none") {
		t.Errorf("it ran for %q", ran)
	}
}

func TestInterpreterThatTheBuildsUserCanChangeIsFound(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	path := filepath.Join(dir, "bin", "python")
	must(t, os.Mkdir(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, nil, 0o755))
	other := config.Identity{UID: os.Geteuid() + 1, GID: os.Getegid() + 1}
	group := config.Identity{UID: other.UID, GID: other.GID, Groups: []uint32{uint32(os.Getegid())}}
	for _, c := range []struct {
		path string
		mode os.FileMode
		as   config.Identity
		want string
	}{
		{path, 0o755, other, ""},
		{path, 0o757, other, path},
		{path, 0o775, other, ""},
		{path, 0o775, group, path},
		{filepath.Dir(path), 0o777, other, filepath.Dir(path)},
		{filepath.Dir(path), 0o777, config.Identity{UID: -1, GID: -1}, ""},
		{filepath.Dir(path), 0o777 | os.ModeSticky, other, ""},
	} {
		must(t, os.Chmod(c.path, c.mode))
		if got := changeable(path, c.as); got != c.want {
			t.Errorf("%s of mode %v, user %+v: %q, want %q", c.path, c.mode, c.as, got, c.want)
		}
		must(t, os.Chmod(c.path, 0o755))
	}
}

func TestLinksInAnEnvironmentLeadToNoFileOfOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	venv, ours := filepath.Join(dir, "venv"), filepath.Join(dir, "ours")
	must(t, os.Mkdir(venv, 0o700))
	must(t, os.WriteFile(ours, []byte("ours"), 0o600))
	must(t, os.Symlink(ours, unfinished(environmentRecordPath(venv))))
	must(t, writeEnvironmentRecord(venv, environmentRecord{Complete: true, Gunicorn: true}))
	if got := read(t, ours); got != "ours" || !hasGunicorn(venv) {
		t.Errorf("the file behind the link holds %q", got)
	}
	must(t, os.Link(ours, filepath.Join(venv, "second")))
	must(t, os.Chmod(venv, 0o777)) // as where it is somebody else's
	if err := seal(venv, os.Getegid(), os.Geteuid()+1); err == nil {
		t.Error("a second name of a file of ours was given to the build's group")
	}
	if info, err := os.Stat(ours); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	must(t, seal(venv, -1, -1)) // a user's own are theirs
}

func TestOneHangingInterpreterHoldsUpNoOtherBuild(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	hanging := *p
	hanging.Env = nil
	hanging.fakePip(t, "")
	asked := filepath.Join(t.TempDir(), "asked")
	p.write(t, "python", "#!/bin/sh\n>"+asked+"\nexec sleep 600\n")
	b := hanging.start(t)
	until(t, "the question", func() bool { return exists(asked) })
	p.made(t)
	b.cancel()
	if err := b.wait(); err == nil {
		t.Error("made")
	}
}

func TestRealPipNeedsNoIndexForWhatTheDistributionHas(t *testing.T) {
	t.Parallel()
	needReal(t)
	needDjango(t)
	p := newProject(t, "")
	p.Command, p.SystemSitePackages, p.PipArgs = nil, true, []string{"--no-index"}
	p.write(t, "requirements.txt", "gunicorn\nDjango\n")
	rel := p.made(t)
	if exists(filepath.Join(rel.Venv, "bin/pip")) || !slices.ContainsFunc(rel.Steps, func(s StepTime) bool { return s.Name == "install" && !s.Skipped }) {
		t.Errorf("pip is in the environment, which costs seconds, or was not asked: %+v", rel.Steps)
	}
}

func TestPackagesOfTheInterpreterCountForTheEnvironment(t *testing.T) {
	t.Parallel()
	site := t.TempDir()
	for _, name := range []string{"b-2.dist-info", "a-1.egg-info", "a", "c.pth"} {
		must(t, os.WriteFile(filepath.Join(site, name), nil, 0o600))
	}
	p := Interpreter{Path: "/python", Version: "3", Sites: []string{site, filepath.Join(site, "none")}}
	if got := p.installed(); !slices.Equal(got, []string{"a-1.egg-info", "b-2.dist-info"}) {
		t.Errorf("installed is %q", got)
	}
	sees := config.Build{SystemSitePackages: true}
	before, without := environmentID(p, "", sees, -1), environmentID(p, "", config.Build{}, -1)
	must(t, os.WriteFile(filepath.Join(site, "d-1.dist-info"), nil, 0o600))
	if environmentID(p, "", sees, -1) == before || environmentID(p, "", config.Build{}, -1) != without {
		t.Error("what was installed since counts where it is not seen, or not where it is")
	}
}

func TestFreshEnvironmentIsNewAndStays(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "")
	p.fakePip(t, "")
	first := p.made(t)
	r := p.request()
	r.Force, r.Fresh = true, true
	second, fresh, err := p.m.Make(t.Context(), r)
	if err != nil || !fresh || second.Venv == first.Venv || len(p.pips(t)) != 2 || !complete(first.Venv) {
		t.Fatalf("%s after %s, fresh %v, error %v, pip ran %q", second.Venv, first.Venv, fresh, err, p.pips(t))
	}
	if same, fresh, err := p.m.Make(t.Context(), p.request()); err != nil || fresh || same.ID != second.ID {
		t.Errorf("%s after %s, fresh %v, error %v", same.ID, second.ID, fresh, err)
	}
	p.write(t, "API/more.py", "A = 1\n")
	if third := p.made(t); third.Venv != second.Venv || len(p.pips(t)) != 2 {
		t.Errorf("%s after %s, pip ran %q", third.Venv, second.Venv, p.pips(t))
	}
	p.Env["ON_PIP"] = "exit 1"
	if _, _, err := p.m.Make(t.Context(), r); err == nil {
		t.Fatal("made, though pip fails")
	}
	p.clean(t)
	p.write(t, "API/more.py", "A = 2\n")
	if fourth := p.made(t); fourth.Venv != second.Venv {
		t.Errorf("after a failure %s, want %s", fourth.Venv, second.Venv)
	}
}
