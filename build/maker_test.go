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
	var steps []string
	r := p.request()
	r.Progress = func(p Progress) {
		if p.Done {
			steps = append(steps, p.Step)
			if p.N != len(steps) || p.Of != 8 {
				t.Errorf("step %s is %d of %d", p.Step, p.N, p.Of)
			}
		}
	}
	rel, _, err := p.m.Make(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if want := "settings copy environment install check migrate collectstatic compile"; strings.Join(steps, " ") != want {
		t.Errorf("steps %v, want %s", steps, want)
	}
	if want := "check --deploy\nmigrate --noinput\ncollectstatic --noinput\n"; p.did(t) != want {
		t.Errorf("manage.py did %q", p.did(t))
	}
	var record map[string]any
	text, err := os.ReadFile(filepath.Join(rel.Dir, "release.json"))
	if err != nil || json.Unmarshal(text, &record) != nil || record["hash"] != rel.Hash || record["id"] != rel.ID {
		t.Errorf("record %v %v", record, err)
	}
	log, err := ReadLog(p.root, "one")
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

func TestEditCompilesOnlyWhatChangedAndKeepsTheEnvironment(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
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

// bytecode answers all bytecode of a release.
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
	log, rerr := ReadLog(p.root, "one")
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
		log, err := ReadLog(p.root, "one")
		if err != nil {
			t.Fatal(err)
		}
		return string(log)
	}
	contains(t, newest(), "compile")
	logs, err := filepath.Glob(filepath.Join(p.root, "one/releases/*", logFile))
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
	contains(t, step.Error(), "deploy_one.py:2:15", "random secret key")
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
	r, edited := p.request(), false
	r.Progress = func(now Progress) {
		if now.Step == "copy" && !edited {
			edited = true
			edit(t, p.SettingsFile(), "LATE = 1\n")
		}
	}
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
	r, edited := p.request(), false
	r.Progress = func(now Progress) {
		if now.Step == "copy" && !edited {
			edited = true
			p.write(t, "requirements.txt", "# other\n")
		}
	}
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
