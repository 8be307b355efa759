package build

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSameInputsMakeNothingNew(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	first := p.made(t)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(p.SettingsFile(), later, later); err != nil {
		t.Fatal(err)
	}
	r := p.request()
	r.Progress = func(p Progress) { t.Errorf("step %s ran", p.Step) }
	r.Irreversible = func() { t.Error("migrate ran") }
	rel, fresh, err := p.m.Make(t.Context(), r)
	if err != nil || fresh || rel.ID != first.ID || rel.Venv != first.Venv {
		t.Errorf("%v, fresh %v, error %v; want release %s again", rel.ID, fresh, err, first.ID)
	}
	forced := p.request()
	forced.Force = true
	rel, fresh, err = p.m.Make(t.Context(), forced)
	if err != nil || !fresh || rel.ID <= first.ID {
		t.Errorf("forced: %v, fresh %v, error %v; want one after %s", rel.ID, fresh, err, first.ID)
	}
}

func TestReleaseHoldsWhatWasBuilt(t *testing.T) {
	t.Parallel()
	p := newProject(t, "print('said', sys.argv[1])")
	p.CollectStatic = true
	var said []Progress
	r := p.request()
	r.Progress = func(p Progress) { said = append(said, p) }
	rel, _, err := p.m.Make(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Fields("settings copy environment install check migrate collectstatic compile")
	if len(said) != 2*len(steps) || len(rel.Steps) != len(steps) {
		t.Fatalf("said %+v, recorded %+v", said, rel.Steps)
	}
	for i, p := range said {
		want := Progress{Step: steps[i/2], N: i/2 + 1, Of: len(steps), Done: i%2 == 1, Elapsed: p.Elapsed}
		want.Skipped = want.Done && (p.Step == "environment" || p.Step == "install")
		if p != want || (p.Elapsed > 0) != p.Done {
			t.Errorf("%+v, want %+v", p, want)
		}
		if took := rel.Steps[i/2]; p.Done && took != (StepTime{p.Step, p.Elapsed, p.Skipped}) {
			t.Errorf("recorded %+v, said %+v", took, p)
		}
	}
	if want := "check --deploy\nmigrate --noinput\ncollectstatic --noinput\n"; p.did(t) != want {
		t.Errorf("manage.py did %q", p.did(t))
	}
	var record map[string]any
	text, err := os.ReadFile(filepath.Join(rel.Dir, "release.json"))
	if err != nil || json.Unmarshal(text, &record) != nil || record["hash"] != rel.Hash || record["id"] != rel.ID {
		t.Errorf("record %v %v", record, err)
	}
	log, err := readLog(p.root, "one")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(log), "== migrate (6 of 8)", "said check\n", "said migrate\n")
	for _, path := range []string{"requirements.txt", "API/app/views.py", "build.log"} {
		if _, err := os.Stat(filepath.Join(rel.Dir, path)); err != nil {
			t.Error(err)
		}
	}
	if got, err := Get(p.root, "one", rel.ID); err != nil || got.Hash != rel.Hash || got.Dir != rel.Dir || got.Python() != rel.Python() {
		t.Errorf("got %+v %v, want %+v", got, err, rel)
	}
	err = filepath.WalkDir(filepath.Join(p.root, "one"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o002 != 0 || strings.HasPrefix(path, rel.Dir) && info.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	p.clean(t)
}

func TestStepsHaveTheBuildsEnvironment(t *testing.T) {
	t.Parallel()
	names := []string{"DJANGO_SETTINGS_MODULE", "MEDCTRL_BUILD", "MEDCTRL_DATA", "MEDCTRL_RELEASE", "PYTHONUNBUFFERED", "VIRTUAL_ENV", "HOME", "COLOUR", "OURS"}
	p := newProject(t, "for name in '"+strings.Join(names, " ")+"'.split(): did(name + '=' + os.environ.get(name, ''))\ndid(sys.prefix)")
	p.m.Environ = append(p.m.Environ, "OURS=1", "COLOUR=blue")
	p.Env = map[string]string{"COLOUR": "red"}
	p.Check = false
	p.environment(t)
	rel := p.made(t)
	values := []string{"api_settings.settings.deploy_one", "one", p.data(), rel.ID, "1", rel.Venv, os.Getenv("HOME"), "red", ""}
	want := ""
	for i, name := range names {
		want += name + "=" + values[i] + "\n"
	}
	if want += rel.Venv + "\nmigrate --noinput\n"; p.did(t) != want {
		t.Errorf("steps had\n%s\nwant\n%s", p.did(t), want)
	}
}

func TestStepsThatAreNotAskedForAreSkipped(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.Check, p.Migrate = false, false
	p.environment(t)
	r := p.request()
	r.Irreversible = func() { t.Error("what cannot be taken back began") }
	rel, _, err := p.m.Make(t.Context(), r)
	must(t, err)
	for _, s := range rel.Steps {
		if want := s.Name != "settings" && s.Name != "copy" && s.Name != "compile"; s.Skipped != want {
			t.Errorf("%s: skipped is %v", s.Name, s.Skipped)
		}
	}
	if p.did(t) != "" {
		t.Errorf("manage.py did %q", p.did(t))
	}
}

func TestErrorOfCheckIsNotHiddenByItsFindings(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
if on("check"):
    print("ERRORS:\n?: (admin.E410) this fails\n\nWARNINGS:" + "\n?: (security.W004) beware" * 9 + "\n\nSystem check identified 10 issues (0 silenced).")
    sys.exit(1)
`)
	step := p.failed(t)
	contains(t, step.Error(), "admin.E410", "10 issues")
	if strings.Contains(step.Error(), "security.W004") {
		t.Error(step)
	}
	contains(t, read(t, step.Log), "security.W004")
}

func TestEditCompilesOnlyWhatChangedAndKeepsTheEnvironment(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.compiles(t)
	first := p.made(t)
	before := bytecode(t, first)
	edit(t, p.SettingsFile(), "DEBUG = False\n")
	second := p.made(t)
	after := bytecode(t, second)
	if first.Venv != second.Venv || len(before) != 4 || len(after) != 4 {
		t.Fatalf("environments %s and %s, bytecode %v and %v", first.Venv, second.Venv, before, after)
	}
	for path, text := range before {
		if same := after[path] == text; same == strings.Contains(path, "deploy_one") {
			t.Errorf("bytecode %s: same is %v", path, same)
		}
	}
	cached, where, _ := strings.Cut(strings.TrimSpace(p.python(t, second, "import app.views; print(app.views.__cached__, app.views.where())")), " ")
	if where != filepath.Join(second.App(p.Build), "app", "views.py") {
		t.Errorf("a traceback would show %q", where)
	}
	if _, err := os.Stat(cached); err != nil {
		t.Error(err)
	}
}

// python runs a program on what a release holds.
func (p *project) python(t *testing.T, rel Release, program string) string {
	t.Helper()
	out, err := exec.Command(rel.Python(), "-I", "-c", "import sys; sys.path.insert(0, sys.argv[1]); "+program, rel.App(p.Build)).Output()
	must(t, err)
	return string(out)
}

// bytecode returns all bytecode of a release.
func bytecode(t *testing.T, rel Release) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(rel.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".pyc" {
			var text []byte
			text, err = os.ReadFile(path)
			all[strings.TrimPrefix(path, rel.Dir)] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestManyFilesAreCompiledBeforeTheyAreUsed(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.compiles(t)
	for i := range fewStale + 1 {
		p.write(t, filepath.Join("API/many", string(rune('A'+i%26))+strings.Repeat("x", i/26)+".py"), "a = 1\n")
	}
	rel := p.made(t)
	if got := rel.Steps[4].Name; got != "compile" {
		t.Errorf("step 5 was %s", got)
	}
	if got := len(bytecode(t, rel)); got != fewStale+1+4 {
		t.Errorf("%d files of bytecode", got)
	}
}

func TestFailedStepLeavesOnlyItsLog(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	good := p.made(t)
	p.write(t, "API/manage.py", "import sys\nprint('first')\nsys.exit('the answer is \\x1b[31m43')\n")
	step := p.failed(t)
	if step.Step != "check" || step.Build != "one" {
		t.Errorf("%+v", step)
	}
	contains(t, step.Error(), "check", "exit code 1", "first", "43", step.Log)
	if strings.Contains(step.Error(), "\x1b") {
		t.Errorf("%q moves the cursor", step.Error())
	}
	text, err := os.ReadFile(step.Log)
	log, rerr := readLog(p.root, "one")
	if err != nil || rerr != nil || string(text) != string(log) {
		t.Errorf("log %q %v, newest %q %v", text, err, log, rerr)
	}
	p.clean(t)
	if all, err := List(p.root, "one"); err != nil || len(all) != 1 || all[0].ID != good.ID {
		t.Errorf("releases %v %v", all, err)
	}
	if p.did(t) != "check --deploy\nmigrate --noinput\n" {
		t.Errorf("migrate ran after a failed check: %q", p.did(t))
	}
}

// Also where the clock was set back between two builds, or ahead and back.
func TestNewestLogIsThatOfTheLastBuild(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	long := time.Now().Add(365 * 24 * time.Hour)
	p.made(t)
	newest := func() string {
		t.Helper()
		log, err := readLog(p.root, "one")
		if err != nil {
			t.Fatal(err)
		}
		return string(log)
	}
	contains(t, newest(), "compile")
	logs, err := filepath.Glob(filepath.Join(p.root, "one/releases/*", "build.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	if err := os.Chtimes(logs[0], long, long); err != nil {
		t.Fatal(err)
	}
	p.write(t, "API/manage.py", "import sys\nsys.exit('it fails')\n")
	failed := p.failed(t).Log
	contains(t, newest(), "it fails")
	if err := os.Chtimes(failed, long, long); err != nil {
		t.Fatal(err)
	}
	p.write(t, "API/manage.py", "print('all is well')\n")
	p.made(t)
	contains(t, newest(), "all is well")
}

func TestPlaceholdersAreRefusedWithTheirLine(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.write(t, "API/api_settings/settings/deploy_one.py", "# settings\nSECRET_KEY = 'random secret key'\n")
	step := p.failed(t)
	if step.Step != "settings" {
		t.Error(step.Step)
	}
	contains(t, step.Error(), "deploy_one.py:2:15", "random secret key", "not repeated until an input, env or env_file changes")
	if !step.Final || !step.Own {
		t.Error("it would be tried again")
	}
	p.clean(t)
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"settings", "copy", "check"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "if on('check'): time.sleep(600)")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := p.request()
			r.Progress = func(p Progress) {
				if p.Step == stage {
					cancel()
				}
			}
			r.Irreversible = func() { t.Error("migrate began") }
			if _, fresh, err := p.m.Make(ctx, r); !errors.Is(err, context.Canceled) || fresh {
				t.Errorf("fresh %v, error %v", fresh, err)
			}
			p.clean(t)
		})
	}
}

func TestCancelledAtTheLastMomentNothingMigrates(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	r := p.request()
	r.Irreversible = cancel
	if _, _, err := p.m.Make(ctx, r); !errors.Is(err, context.Canceled) || p.did(t) != "check --deploy\n" {
		t.Errorf("error %v, did %q", err, p.did(t))
	}
	p.clean(t)
}

func TestSourceThatNeverRestsIsSaid(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	r, n := p.request(), 0
	r.Progress = func(now Progress) {
		if now.Step == "copy" && !now.Done {
			n++
			p.write(t, "requirements.txt", strings.Repeat("# more\n", n))
		}
	}
	_, _, err := p.m.Make(t.Context(), r)
	var step *StepError
	if !errors.As(err, &step) {
		t.Fatal(err)
	}
	contains(t, err.Error(), "change faster")
	contains(t, read(t, step.Log), "== copy")
	p.clean(t)
}

func TestIrreversibleComesOnceAndBeforeMigrate(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	r, n := p.request(), 0
	r.Irreversible = func() {
		n++
		if got := p.did(t); got != "check --deploy\n" {
			t.Errorf("done so far: %q", got)
		}
	}
	if _, _, err := p.m.Make(t.Context(), r); err != nil || n != 1 {
		t.Errorf("%d times, error %v", n, err)
	}
}

func TestSourceThatChangesMeanwhileGivesAReleaseOfWhatWasCopied(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	r := p.whileCopying(func() { edit(t, p.SettingsFile(), "LATE = 1\n") })
	rel, _, err := p.m.Make(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(rel.App(p.Build), p.SettingsDir, "deploy_one.py"))
	if err != nil || !strings.Contains(string(text), "LATE") {
		t.Errorf("copied %q %v", text, err)
	}
	if again, fresh, err := p.m.Make(t.Context(), p.request()); err != nil || fresh || again.ID != rel.ID {
		t.Errorf("fresh %v, error %v: the release's hash is not that of its files", fresh, err)
	}
	// And back to what a release holds already, while the copy begins.
	original, err := os.ReadFile(p.SettingsFile())
	if err != nil {
		t.Fatal(err)
	}
	edit(t, p.SettingsFile(), "LATER = 1\n")
	r.Progress = func(now Progress) {
		if now.Step == "copy" {
			p.write(t, "API/api_settings/settings/deploy_one.py", string(original))
		}
	}
	if again, fresh, err := p.m.Make(t.Context(), r); err != nil || fresh || again.ID != rel.ID {
		t.Errorf("%s, fresh %v, error %v, want %s again", again.ID, fresh, err, rel.ID)
	}
	p.clean(t)
}

func TestRequirementsThatChangeMeanwhileBeginAnew(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.write(t, "requirements.txt", "# other\n")
	p.environment(t)
	p.write(t, "requirements.txt", "")
	r := p.whileCopying(func() { p.write(t, "requirements.txt", "# other\n") })
	rel, fresh, err := p.m.Make(t.Context(), r)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	text, err := os.ReadFile(filepath.Join(rel.Dir, "requirements.txt"))
	if err != nil || string(text) != "# other\n" {
		t.Errorf("copied %q %v", text, err)
	}
	p.clean(t)
}

func TestBuildsWaitForTheirTurnAndMayGiveUp(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.m.SetParallel(1)
	if err := p.m.slots.take(t.Context()); err != nil { // another build runs
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.m.Make(ctx, p.request()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := p.m.Make(t.Context(), p.request())
		done <- err
	}()
	p.m.SetParallel(2)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
