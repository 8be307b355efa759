package build

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// ids are the user and group of everything below a folder, its own first.
func ids(t *testing.T, dir string) map[string]owner {
	t.Helper()
	all := map[string]owner{}
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		all[path] = owner{}
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		all[path] = owner{int(st.Uid), int(st.Gid)}
		return nil
	}))
	return all
}

func (p *project) belongsTo(t *testing.T, dir string, want owner) {
	t.Helper()
	for path, is := range ids(t, dir) {
		if is != want {
			t.Errorf("%s belongs to %v, want %v", path, is, want)
		}
	}
}

func stepsOf(rel Release) []string {
	var all []string
	for _, s := range rel.Steps {
		all = append(all, s.Name)
	}
	return all
}

func TestChangeOfUserIsCarriedThroughBeforeTheApplicationRuns(t *testing.T) {
	t.Parallel()
	p := newProject(t, `did("%s as %d" % (sys.argv[1], os.getuid()))`)
	nobody, err := user.Lookup("nobody")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, and a user nobody: ", err)
	}
	for _, dir := range []string{filepath.Dir(p.root), filepath.Dir(filepath.Dir(p.root))} {
		must(t, os.Chmod(dir, 0o755))
	}
	p.environment(t)
	first := p.made(t)
	if slices.Contains(stepsOf(first), "owner") {
		t.Errorf("steps of the first release: %q", stepsOf(first))
	}
	outside := filepath.Join(p.root, "outside")
	must(t, errors.Join(os.WriteFile(outside, nil, 0o600), os.MkdirAll(filepath.Join(p.data(), "a", "b"), 0o700),
		os.WriteFile(filepath.Join(p.data(), "a", "b", "db.sqlite3"), nil, 0o600), os.Symlink(outside, filepath.Join(p.data(), "link")),
		os.Symlink(filepath.Dir(p.root), filepath.Join(p.data(), "a", "folder"))))

	p.User = "nobody"
	second := p.made(t)
	if !slices.Contains(stepsOf(second), "owner") {
		t.Errorf("steps: %q", stepsOf(second))
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	p.belongsTo(t, p.data(), owner{uid, gid})
	p.belongsTo(t, first.Dir, owner{0, gid}) // somebody may go back to it
	p.belongsTo(t, first.Venv, owner{0, gid})
	p.belongsTo(t, outside, owner{0, 0})
	contains(t, p.did(t), "migrate as "+nobody.Uid)

	p.write(t, "API/more.py", "")
	if third := p.made(t); slices.Contains(stepsOf(third), "owner") {
		t.Errorf("steps where nothing has changed: %q", stepsOf(third))
	}
	p.User = ""
	if fourth := p.made(t); !slices.Contains(stepsOf(fourth), "owner") {
		t.Errorf("steps of the way back: %q", stepsOf(fourth))
	}
	p.belongsTo(t, p.data(), owner{0, 0})
}

func TestWhatRunsKeepsItsFilesWhenTheOwnerChanges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	t.Parallel()
	p := newProject(t, "")
	p.environment(t)
	rel := p.made(t)
	must(t, Own(t.Context(), p.root, p.Name, config.Identity{UID: 1234, GID: 1235}, rel.ID))
	p.belongsTo(t, p.data(), owner{1234, 1235})
	p.belongsTo(t, rel.Dir, owner{0, 0})
	p.belongsTo(t, rel.Venv, owner{0, 0})
	must(t, OwnRelease(t.Context(), rel, p.data(), config.Identity{UID: 1236, GID: 1237}))
	p.belongsTo(t, p.data(), owner{1236, 1237})
	p.belongsTo(t, rel.Dir, owner{0, 1237})
	p.belongsTo(t, rel.Venv, owner{0, 1237})
}

// Somebody ran chown -R: a server of root's has no capability by which it could enter what is another's.
func TestReleaseOfRootsThatWasGivenAwayIsTakenBackBeforeItRuns(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	p := newProject(t, "")
	rel := p.made(t)
	data, other, us := folderOf(p.root, p.Name).Data(), owner{65001, 65001}, owner{os.Geteuid(), os.Getegid()}
	for _, c := range []struct {
		mode fs.FileMode
		want owner
	}{{0o750, us}, {0o777, other}} { // that one can be used, it may be meant
		for _, dir := range []string{rel.Dir, rel.Venv, data} {
			must(t, give(context.Background(), dir, other))
		}
		must(t, os.Chmod(data, c.mode))
		must(t, OwnRelease(context.Background(), rel, data, config.Identity{UID: -1, GID: -1}))
		p.belongsTo(t, rel.Dir, us)
		p.belongsTo(t, rel.Venv, us)
		p.belongsTo(t, data, c.want)
	}
}

func TestFileOfSomebodyElseUnderASecondNameIsNotGivenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	t.Parallel()
	dir := t.TempDir()
	data, secret := filepath.Join(dir, "data"), filepath.Join(dir, "secret")
	must(t, errors.Join(os.Mkdir(data, 0o700), os.WriteFile(secret, nil, 0o600), os.Link(secret, filepath.Join(data, "mine")), os.Chown(data, 1234, 1234)))
	must(t, give(t.Context(), data, owner{1235, 1235}))
	if is := ids(t, secret)[secret]; is != (owner{0, 0}) {
		t.Errorf("it belongs to %v", is)
	}
	if is := ids(t, data)[data]; is != (owner{1235, 1235}) {
		t.Errorf("the folder belongs to %v", is)
	}
}

func TestOwnerThatChangesEndsWithItsContextAndBeginsAgain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := give(ctx, dir, owner{1235, 1235}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if is, _ := topOwner(dir); is != (owner{0, 0}) {
		t.Errorf("the folder counts as done: %v", is)
	}
	must(t, give(t.Context(), dir, owner{1235, 1235}))
	for path, is := range ids(t, dir) {
		if is != (owner{1235, 1235}) {
			t.Errorf("%s belongs to %v", path, is)
		}
	}
}

// crossDevice is rename(2) of a folder in a lower layer of an overlay file system.
func crossDevice(from, to string) error {
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.EXDEV}
}

func TestReleaseThatCannotBeRenamedIsRemovedInPlace(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.environment(t)
	rel := p.made(t)
	for _, dir := range []string{rel.Dir, rel.Venv} {
		must(t, discardBy(crossDevice, dir))
		if exists(dir) {
			t.Errorf("%s is still there", dir)
		}
		entries, err := os.ReadDir(filepath.Dir(dir))
		must(t, err)
		if len(entries) > 0 {
			t.Errorf("%v is left", entries)
		}
	}
}

func TestReleaseThatWasHalfRemovedInPlaceIsRemovedAtTheNextStart(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.environment(t)
	rel := p.made(t)
	doomed := filepath.Join(filepath.Dir(rel.Dir), tempPrefix+oldPrefix+rel.ID)
	must(t, os.Mkdir(doomed, 0o700)) // and killed: it is a whole release still
	must(t, p.m.Tidy(p.root, p.Name))
	if !exists(rel.Dir) || exists(doomed) {
		t.Error("a whole release was removed, or the mark of its removal stays")
	}
	must(t, errors.Join(os.Mkdir(doomed, 0o700), os.Remove(filepath.Join(rel.Dir, "release.json"))))
	must(t, p.m.Tidy(p.root, p.Name))
	if exists(rel.Dir) || exists(doomed) {
		t.Error("half of it is still there")
	}
}
