package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// git runs git in the folder of a test's repository, with the settings of nobody.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not there: apt install git")
	}
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "init.defaultBranch=main", "-c", "commit.gpgSign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org", "GIT_AUTHOR_DATE=2026-11-01T10:00:00Z", "GIT_COMMITTER_DATE=2026-11-01T10:00:00Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// committed makes the folder a repository of all that is in it, and returns the commit.
func committed(t testing.TB, dir, subject string) string {
	t.Helper()
	git(t, dir, "init", "-q")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", subject)
	return git(t, dir, "rev-parse", "HEAD")
}

func TestReleaseKnowsItsCommit(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	hash := committed(t, p.Source, "Show \x1b[31mred\x07 prices\n\nand why")
	c := p.made(t).Commit
	if c == nil || c.Hash != hash || c.Branch != "main" || c.Subject != "Show [31mred prices" || c.Author != "Ada" || c.Time.Unix() != 1793527200 || c.Changed != 0 {
		t.Fatalf("%+v", c)
	}
	all, err := List(p.root, p.Name)
	if err != nil || len(all) != 1 || all[0].Commit == nil || *all[0].Commit != *c {
		t.Errorf("the record has %+v, error %v", all, err)
	}
	// What was changed since, and only what goes into the release.
	p.write(t, "API/app/views.py", "x = 1\n")
	p.write(t, "API/app/new.py", "")
	p.write(t, "API/api_settings/settings/deploy_other.py", "")
	p.write(t, "README", "")
	must(t, os.Remove(filepath.Join(p.Source, "API/app/__init__.py")))
	git(t, p.Source, "checkout", "-q", "--detach")
	if c = p.made(t).Commit; c == nil || c.Hash != hash || c.Branch != "" || c.Changed != 3 {
		t.Errorf("after three edits: %+v", c)
	}
	p.clean(t)
}

func TestCommitOfWorktreesSubfoldersAndPacks(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	above := filepath.Dir(p.Source)
	p.write(t, "../.gitignore", "/root\n/tree\n")
	hash := committed(t, above, "Above the source")
	git(t, above, "gc", "-q")
	if c := p.made(t).Commit; c == nil || c.Hash != hash || c.Changed != 0 {
		t.Errorf("of a subfolder: %+v", c)
	}
	git(t, above, "worktree", "add", "-q", "-b", "side", "tree")
	p.Source = filepath.Join(above, "tree", "source")
	p.write(t, "API/app/views.py", "x = 1\n")
	hash = git(t, p.Source, "rev-parse", "HEAD")
	if c := p.made(t).Commit; c == nil || c.Hash != hash || c.Branch != "side" || c.Changed != 1 {
		t.Errorf("of a worktree: %+v", c)
	}
	shallow := filepath.Join(above, "shallow")
	git(t, above, "commit", "-q", "--allow-empty", "-m", "Another")
	git(t, above, "clone", "-q", "--depth=1", "file://"+above, shallow)
	p.Source = filepath.Join(shallow, "source")
	p.write(t, "API/app/views.py", "x = 2\n")
	if c := p.made(t).Commit; c == nil || c.Subject != "Another" || c.Branch != "main" {
		t.Errorf("of a shallow clone: %+v", c)
	}
}

func TestSourceWithoutACommitIsBuilt(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(p *project){
		"no checkout":               func(*project) {},
		"no commit yet":             func(p *project) { git(t, p.Source, "init", "-q") },
		"a broken repository":       func(p *project) { p.write(t, ".git/HEAD", "ref: refs/heads/../../../etc/passwd\n") },
		"a file that leads nowhere": func(p *project) { p.write(t, ".git", "gitdir: /nowhere\n") },
		"a checkout that does not know the application": func(p *project) {
			above := filepath.Dir(p.Source)
			p.write(t, "../.gitignore", "*\n")
			git(t, above, "init", "-q")
			git(t, above, "add", "-f", ".gitignore")
			git(t, above, "commit", "-q", "-m", "Dotfiles")
		},
	} {
		p := newProject(t, "")
		prepare(p)
		if c := p.made(t).Commit; c != nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// Settings of the repository name programs; none of those that git would run on its own is run, and
// the index is left as it is.
func TestCommitRunsNoHookOrMonitorOfTheRepository(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	hash := committed(t, p.Source, "One")
	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(filepath.Dir(ran), "program")
	must(t, writeWhole(program, "#!/bin/sh\necho \"$0 $*\" >>"+ran+"\n", 0o755))
	for _, key := range []string{"core.fsmonitor", "gpg.program", "core.pager", "core.sshCommand", "diff.external", "core.editor"} {
		git(t, p.Source, "config", key, program)
	}
	git(t, p.Source, "config", "log.showSignature", "true")
	must(t, os.Mkdir(filepath.Join(p.Source, ".git/own-hooks"), 0o755))
	git(t, p.Source, "config", "core.hooksPath", ".git/own-hooks")
	for _, hook := range []string{"post-index-change", "reference-transaction", "fsmonitor-watchman"} {
		must(t, os.Symlink(program, filepath.Join(p.Source, ".git/own-hooks", hook)))
	}
	index := read(t, filepath.Join(p.Source, ".git/index"))
	edit(t, filepath.Join(p.Source, "API/app/views.py"), "x = 1\n")
	if c := p.made(t).Commit; c == nil || c.Hash != hash || c.Changed != 1 {
		t.Errorf("%+v", c)
	}
	if did := read(t, ran); did != "" {
		t.Errorf("ran %s", did)
	}
	if read(t, filepath.Join(p.Source, ".git/index")) != index {
		t.Error("the index was written")
	}
}

func TestCommitThatMovesDuringTheCopyIsNotRecorded(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	before := committed(t, p.Source, "One")
	j := lookedAt(t, p)
	c := j.findCheckout()
	if got := c.head(t.Context()); got != before {
		t.Fatalf("head is %q, want %s", got, before)
	}
	if found := c.commit(t.Context(), before); found == nil || found.Hash != before {
		t.Errorf("%+v", found)
	}
	git(t, p.Source, "commit", "-q", "--allow-empty", "-m", "Two")
	if found := c.commit(t.Context(), before); found != nil {
		t.Errorf("it went on, and is %+v", found)
	}
}

// lookedAt is an attempt that has looked at its inputs.
func lookedAt(t testing.TB, p *project) *job {
	t.Helper()
	j, err := p.m.prepare(t.Context(), p.request())
	if err == nil {
		err = j.folders()
	}
	if err != nil {
		t.Fatal(err)
	}
	j.temp = filepath.Join(p.root, p.Name, "releases", ".tmp-test")
	return j
}

// git is asked as the build's user: who may read the repository, whoever it belongs to, gets an answer,
// and what that user may not read is not shown.
func TestCommitIsWhatTheBuildsUserMayRead(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.runAsNobody(t)
	hash := committed(t, p.Source, "Of root")
	ran := filepath.Join(t.TempDir(), "ran")
	must(t, writeWhole(filepath.Join(p.Source, "clean"), "#!/bin/sh\nid -u >>"+ran+"\ncat\n", 0o755))
	must(t, os.WriteFile(ran, nil, 0o666))
	must(t, os.Chmod(ran, 0o666))
	must(t, os.Chmod(filepath.Dir(ran), 0o755))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(ran)), 0o755))
	git(t, p.Source, "config", "filter.own.clean", filepath.Join(p.Source, "clean"))
	p.write(t, ".git/info/attributes", "*.py filter=own\n")
	edit(t, filepath.Join(p.Source, "API/app/views.py"), "x = 1\n")
	if c := p.made(t).Commit; c == nil || c.Hash != hash || c.Changed != 1 {
		t.Errorf("of a repository that everybody may read: %+v", c)
	}
	for _, uid := range strings.Fields(read(t, ran)) {
		if uid == "0" {
			t.Error("a filter of the repository ran as root")
		}
	}
	must(t, os.Chmod(filepath.Join(p.Source, ".git"), 0o700))
	edit(t, filepath.Join(p.Source, "API/app/views.py"), "y = 1\n")
	if c := p.made(t).Commit; c != nil {
		t.Errorf("of one that only root may read: %+v", c)
	}
}

// Above a source, where everybody may make files, anybody may make a repository that knows it: its settings
// name programs to run, and its lock would be waited for.
func TestRepositoryOfAStrangerIsNoneOfTheSource(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	if os.Geteuid() != 0 {
		t.Skip("only root may give files to others")
	}
	for _, dir := range []string{filepath.Dir(p.root), filepath.Dir(filepath.Dir(p.root))} {
		must(t, os.Chmod(dir, 0o755))
	}
	open := filepath.Dir(p.Source)
	ran := filepath.Join(t.TempDir(), "ran")
	committed(t, open, "A claim")
	git(t, open, "config", "filter.own.clean", "echo ran >>"+ran+"; cat")
	must(t, writeWhole(filepath.Join(open, ".git/info/attributes"), "*.py filter=own\n", 0o644))
	must(t, writeWhole(filepath.Join(open, ".git/index.lock"), "", 0o644))
	of := func(uid int) {
		must(t, filepath.WalkDir(filepath.Join(open, ".git"), func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, uid, -1))
		}))
	}
	const stranger = 54321
	for _, c := range []struct {
		what  string
		mode  os.FileMode
		owner int // of the repository
		ours  bool
	}{
		{"of a stranger in a folder with the sticky bit", 0o777 | os.ModeSticky, stranger, false},
		{"of root there", 0o777 | os.ModeSticky, 0, true},
		{"in a folder whose owner it has", 0o755, stranger, true},
	} {
		must(t, os.Chmod(open, c.mode))
		of(c.owner)
		if locked := heldLock(p.Build) != ""; locked != c.ours {
			t.Errorf("%s: its lock is waited for: %v", c.what, locked)
		}
		if found := lookedAt(t, p).findCheckout() != nil; found != c.ours {
			t.Errorf("%s: it is asked for the commit: %v", c.what, found)
		}
	}
	must(t, os.Chmod(open, 0o777|os.ModeSticky))
	of(stranger)
	must(t, os.Remove(filepath.Join(open, ".git/index.lock")))
	edit(t, filepath.Join(p.Source, "API/app/views.py"), "x = 1\n")
	if c := p.made(t).Commit; c != nil {
		t.Errorf("the release is of commit %+v", c)
	}
	if did := read(t, ran); did != "" {
		t.Errorf("a program of the stranger's settings ran: %s", did)
	}
}
