package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

func (p *project) folder(t testing.TB, rel string) string {
	t.Helper()
	path := filepath.Join(p.Source, rel)
	must(t, os.MkdirAll(path, 0o755))
	return path
}

func TestLocksOfASourceAreThoseOfItsRepositories(t *testing.T) {
	t.Parallel()
	above := t.TempDir()
	for name, c := range map[string]struct {
		make func(p *project)
		want []string // below the source's parent
	}{
		"a repository that comes":      {make: func(*project) {}, want: []string{"source/.git/index.lock"}},
		"a repository":                 {make: func(p *project) { p.folder(t, ".git") }, want: []string{"source/.git/index.lock"}},
		"a folder of a repository":     {make: func(p *project) { p.folder(t, "../.git") }, want: []string{".git/index.lock"}},
		"a worktree":                   {make: func(p *project) { p.write(t, ".git", "gitdir: "+above+"/worktrees/x\n") }, want: []string{above + "/worktrees/x/index.lock"}},
		"the application, a submodule": {make: func(p *project) { p.write(t, "API/.git", "gitdir: ../.git/modules/API\n"); p.folder(t, ".git") }, want: []string{"source/.git/index.lock", "source/.git/modules/API/index.lock"}},
		"submodules": {make: func(p *project) {
			p.write(t, ".git/modules/libs/demo/HEAD", "")
			p.write(t, ".git/modules/libs/demo/modules/deep/HEAD", "")
		}, want: []string{"source/.git/index.lock", "source/.git/modules/libs/demo/index.lock", "source/.git/modules/libs/demo/modules/deep/index.lock"}},
		"a link to a checkout": {make: func(p *project) {
			must(t, os.Rename(p.Source, p.Source+"-2"))
			must(t, os.Symlink("source-2", p.Source))
			p.folder(t, ".git")
		}, want: []string{"source-2/.git/index.lock"}},
		"Mercurial": {make: func(p *project) { p.folder(t, ".hg") }, want: []string{"source/.hg/wlock"}},
	} {
		p := bareProject(t, "")
		c.make(p)
		var want []string
		for _, path := range c.want {
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(p.Source), path)
			}
			want = append(want, path)
		}
		for _, lock := range want {
			if got := sourceLocks(p.Build); !slices.Contains(got, lock) {
				t.Errorf("%s: locks are %q, want %q", name, got, lock)
			}
			if got := Watch(p.root, p.Build, nil).Locks; !slices.Contains(got, lock) {
				t.Errorf("%s: watched locks are %q, want %q", name, got, lock)
			}
			if held := heldLock(p.Build); held != "" {
				t.Errorf("%s: %s is held", name, held)
			}
			must(t, os.MkdirAll(filepath.Dir(lock), 0o755))
			must(t, os.WriteFile(lock, nil, 0o644))
			if held := heldLock(p.Build); held != lock {
				t.Errorf("%s: %q is held, want %s", name, held, lock)
			}
			must(t, os.Remove(lock))
		}
	}
}

func TestNothingIsMadeOfASourceThatIsBeingCheckedOut(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	lock := filepath.Join(p.folder(t, ".git"), "index.lock")
	p.write(t, ".git/index.lock", "")
	must(t, os.Remove(p.SettingsFile())) // git removes a file before it writes the new one
	r := p.request()
	r.Force = true // by a person
	waits := make(chan Progress, 100)
	r.Progress = func(p Progress) { waits <- p }
	result := make(chan error, 1)
	go func() {
		_, _, err := p.m.Make(t.Context(), r)
		result <- err
	}()
	if first := <-waits; first.Of != 0 || !strings.Contains(first.Step, lock) {
		t.Errorf("first said is %+v", first)
	}
	p.write(t, "API/api_settings/settings/deploy_one.py", "SECRET_KEY = 'new'\n")
	must(t, os.Remove(lock))
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestCheckoutThatBeginsDuringTheCopyIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	lock := filepath.Join(p.folder(t, ".git"), "index.lock")
	waited := false
	r := p.whileCopying(func() {
		p.write(t, "API/half.py", "")
		p.write(t, ".git/index.lock", "")
	})
	begin := r.Progress
	r.Progress = func(now Progress) {
		begin(now)
		if now.Of == 0 {
			waited = true
			p.write(t, "API/other_half.py", "")
			must(t, os.Remove(lock))
		}
	}
	rel, fresh, err := p.m.Make(t.Context(), r)
	if err != nil || !fresh || !waited {
		t.Fatalf("fresh %v, waited %v, error %v", fresh, waited, err)
	}
	if all, err := List(p.root, p.Name); len(all) != 1 || err != nil {
		t.Errorf("releases %v, error %v", all, err)
	}
	for _, name := range []string{"half.py", "other_half.py"} {
		if !exists(filepath.Join(rel.App(p.Build), name)) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestLockOfAGitThatDiedIsIgnoredAndRemarked(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.write(t, ".git/index.lock", "")
	old := time.Now().Add(-2 * staleLock)
	must(t, filepath.WalkDir(p.Source, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chtimes(path, old, old)
		}
		return err
	}))
	r := p.request()
	var remarks []string
	r.Remark = func(text string) { remarks = append(remarks, text) }
	if _, fresh, err := p.m.Make(t.Context(), r); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	if len(remarks) != 1 || !strings.Contains(remarks[0], filepath.Join(p.Source, ".git/index.lock")) {
		t.Errorf("remarks are %q", remarks)
	}
}

func TestFileThatNeverSettlesIsBuiltAsItIsAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var u unsettled
		log := []inputs.ChangedFile{{Path: "/src/API/app.log", What: inputs.ChangedInPlace}}
		temp := func(n int) []inputs.ChangedFile {
			return []inputs.ChangedFile{{Path: fmt.Sprintf("/src/API/tmp/%d", n), What: "was added"}, {Path: fmt.Sprintf("/src/API/tmp/%d", n-1), What: "was removed"}}
		}
		for n, files := range [][]inputs.ChangedFile{log, temp(1)} {
			e := &changedError{files}
			u.found(e.keys())
			if u.all(files) {
				t.Error("a file is unsettled at once")
			}
			time.Sleep(unsettledFor + time.Second)
			if n == 1 {
				files = temp(2)
			}
			if !u.all(files) {
				t.Errorf("%v is not unsettled", files)
			}
			if u.all(append(files, inputs.ChangedFile{Path: "/src/API/views.py", What: inputs.ChangedInPlace})) {
				t.Error("another file counts as unsettled")
			}
			time.Sleep(settledAfter + time.Second)
			if u.all(files) {
				t.Errorf("%v is unsettled for ever", files)
			}
		}
	})
}

func TestWhatIsCopiedOfAFileThatNeverSettlesIsSaid(t *testing.T) {
	t.Parallel()
	log, err := os.Create(filepath.Join(t.TempDir(), "build.log"))
	must(t, err)
	defer log.Close()
	remark := ""
	j := &job{maker: &Maker{}, workplace: workplace{log: log}, Request: Request{Remark: func(text string) { remark = text }}}
	files := []inputs.ChangedFile{{Path: "/src/API/app.log", What: inputs.ChangedInPlace}}
	if err := j.settled(files); err == nil || !strings.Contains(err.Error(), "/src/API/app.log") {
		t.Errorf("a release of what changes: %v", err)
	}
	j.maker.unsettled.said = map[string]span{"/src/API/app.log": {time.Now().Add(-unsettledFor), time.Now()}}
	if err := j.settled(files); err != nil {
		t.Error(err)
	}
	contains(t, remark, "/src/API/app.log", "writes into its own source", "MEDCTRL_DATA")
	contains(t, read(t, log.Name()), remark)
}
