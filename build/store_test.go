package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// store is a build's folder with releases that were never built.
type store struct {
	*testing.T
	root string
}

func newStore(t *testing.T) store { return store{t, t.TempDir()} }

// tidy runs Tidy on the build "one".
func (s store) tidy() {
	s.Helper()
	must(s, New(Options{Runner: newRunner(s)}).Tidy(s.root, "one"))
}

// current returns the release that the link leads to.
func (s store) current() (string, error) {
	to, err := os.Readlink(s.dir("current"))
	return filepath.Base(to), err
}

func (s store) dir(parts ...string) string {
	return filepath.Join(append([]string{s.root, "one"}, parts...)...)
}

func (s store) add(id, venv string) {
	s.Helper()
	must(s, os.MkdirAll(s.dir("venvs", venv), 0o755))
	must(s, writeEnvironmentRecord(s.dir("venvs", venv), environmentRecord{Complete: true}))
	must(s, os.MkdirAll(s.dir("releases", id), 0o755))
	text, err := json.Marshal(Release{ID: id, VenvID: venv})
	must(s, err)
	must(s, os.WriteFile(s.dir("releases", id, "release.json"), text, 0o644))
}

func (s store) entries(folder string) (all []string) {
	s.Helper()
	entries, err := os.ReadDir(s.dir(folder))
	must(s, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

const (
	venvA, venvB, venvC = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"
	rel1, rel2          = "20260101T000001-aaaaaa", "20260101T000002-aaaaaa"
	rel3, rel4          = "20260101T000003-aaaaaa", "20260101T000004-aaaaaa"
)

func TestPruneKeepsWhatIsNewestInUseOrNotOurs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.add(rel1, venvA)
	s.add(rel2, venvB)
	s.add(rel3, venvC)
	s.add(rel4, venvC)
	foreign := []string{
		s.dir("releases", "20250101T000000-aaaaaa"), // no record of ours
		s.dir("releases", "keep"), s.dir("releases", ".tmp-mine"), s.dir("venvs", "mine"), s.dir("venvs", ".tmp-old-mine"), s.dir("dddddddddddddddd"), s.dir(".tmp-mine"),
	}
	for _, path := range foreign {
		must(t, os.MkdirAll(path, 0o755))
	}
	b := config.Build{Name: "one", KeepReleases: 2}
	// A build may just have found an environment, and has no release yet.
	using, err := useEnvironments(folderOf(s.root, "one"))
	must(t, err)
	must(t, Prune(s.root, b, rel1))
	if !exists(s.dir("venvs", venvB)) {
		t.Error("an environment was removed under a build")
	}
	must(t, using.Close())
	// A process that another test starts has the lock, too, until it is executed.
	until(t, "the removal of an environment that nobody uses", func() bool {
		must(t, Prune(s.root, b, rel1))
		return !exists(s.dir("venvs", venvB))
	})
	s.tidy()
	for path, want := range map[string]bool{
		s.dir("releases", rel1): true, s.dir("releases", rel2): false, s.dir("releases", rel3): true, s.dir("releases", rel4): true,
		s.dir("venvs", venvA): true, s.dir("venvs", venvB): false, s.dir("venvs", venvC): true,
		s.dir("venvs", venvA+".json"): true, s.dir("venvs", venvB+".json"): false, s.dir("venvs", venvC+".json"): true,
	} {
		if exists(path) != want {
			t.Errorf("%s: there is %v, want %v", path, !want, want)
		}
	}
	for _, path := range foreign {
		if !exists(path) {
			t.Errorf("%s is not ours and is gone", path)
		}
	}
}

func TestTidyRemovesWhatIsHalf(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.add(rel1, venvA)
	for _, path := range []string{
		s.dir("releases", tempPrefix+rel2), s.dir("releases", tempPrefix+oldPrefix+rel3), s.dir("venvs", venvB), s.dir("venvs", tempPrefix+oldPrefix+venvC), s.dir(tempPrefix + "current"),
	} {
		must(t, os.MkdirAll(filepath.Join(path, "something"), 0o755))
	}
	must(t, writeEnvironmentRecord(s.dir("venvs", venvB), environmentRecord{}))
	for _, record := range []string{venvC + ".json", tempPrefix + venvA + ".json"} {
		must(t, os.WriteFile(s.dir("venvs", record), nil, 0o600))
	}
	s.tidy()
	if got := append(s.entries("releases"), s.entries("venvs")...); !slices.Equal(got, []string{rel1, venvA, venvA + ".json"}) || len(s.entries("")) != 2 {
		t.Errorf("left: %v, %v", got, s.entries(""))
	}
	must(t, New(Options{Runner: newRunner(t)}).Tidy(s.root, "never_built"))
}

func TestListHoldsOnlyWhatIsComplete(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if all, err := List(s.root, "one"); err != nil || len(all) != 0 {
		t.Errorf("of a build that was never built: %v %v", all, err)
	}
	s.add(rel2, venvA)
	s.add(rel1, venvA)
	s.add(rel3, venvB)
	s.add(rel4, venvA)
	must(t, os.Remove(s.dir("venvs", venvB+".json")))
	must(t, os.WriteFile(s.dir("releases", rel4, "release.json"), []byte(`{"id": "`+rel4+`", "venv": ".."}`), 0o644))
	must(t, os.Mkdir(s.dir("releases", "20260101T000009-aaaaaa"), 0o755))
	all, err := List(s.root, "one")
	must(t, err)
	if len(all) != 2 || all[0].ID != rel1 || all[1].ID != rel2 || all[1].Dir != s.dir("releases", rel2) || all[1].Venv != s.dir("venvs", venvA) {
		t.Errorf("%+v", all)
	}
	for _, id := range []string{rel3, rel4, "20260101T000009-aaaaaa", "../one", ""} {
		if rel, err := Get(s.root, "one", id); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("got %+v, error %v", rel, err)
		}
	}
}

func TestReleasesStayInOrderWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 5, time.UTC)
	for name, c := range map[string]struct {
		taken []string
		want  string
	}{
		"the first":              {nil, "20260601T120000-abcdef"},
		"in the same second":     {[]string{"20260601T120000-000000"}, "20260601T120001-abcdef"},
		"the clock was set back": {[]string{"20260601T115959-000000", "20260601T130000-000000"}, "20260601T130001-abcdef"},
		"it was a year ahead":    {[]string{"20270601T120000-ffffff", "20260101T000000-000000"}, "20270601T120001-abcdef"},
	} {
		got := nextID(now, "abcdef0123456789", c.taken)
		if got != c.want || !releaseID.MatchString(got) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	p := newProject(t, "")
	ahead := filepath.Join(p.root, p.Name, "releases", time.Now().AddDate(1, 0, 0).UTC().Format("20060102T150405")+"-ffffff")
	must(t, os.MkdirAll(ahead, 0o755))
	if rel := p.made(t); rel.ID <= filepath.Base(ahead) {
		t.Errorf("%s does not come after %s", rel.ID, ahead)
	}
}

func TestCurrentIsNeverMissing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.add(rel1, venvA)
	s.add(rel2, venvA)
	if id, err := s.current(); err == nil {
		t.Errorf("current is %s before it was set", id)
	}
	must(t, SetCurrent(s.root, "one", rel1))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() {
		for {
			if id, err := s.current(); err != nil || id != rel1 && id != rel2 || !exists(s.dir("current", "release.json")) {
				t.Errorf("current is %q %v", id, err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for i := range 200 {
		must(t, SetCurrent(s.root, "one", []string{rel1, rel2}[i%2]))
	}
	close(stop)
	readers.Wait()
	// What a kill left half-way is in nobody's way.
	must(t, os.Symlink("nowhere", s.dir(tempPrefix+"current")))
	must(t, SetCurrent(s.root, "one", rel1))
	if id, err := s.current(); id != rel1 {
		t.Error(id, err)
	}
}

func TestLogIsThatOfTheNewestBuild(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if text, err := readLog(s.root, "one"); err != nil || len(text) > 0 {
		t.Errorf("of a build that was never built: %q, %v", text, err)
	}
	s.add(rel1, venvA)
	must(t, os.MkdirAll(s.dir("releases", tempPrefix+rel2), 0o755))
	for i, path := range []string{s.dir("releases", rel1, "build.log"), s.dir("build-failed.log"), s.dir("releases", tempPrefix+rel2, "build.log")} {
		must(t, os.WriteFile(path, []byte(path), 0o644))
		when := time.Now().Add(time.Duration(i) * time.Minute)
		must(t, os.Chtimes(path, when, when))
		if text, err := readLog(s.root, "one"); err != nil || string(text) != path {
			t.Errorf("%q %v, want that of %s", text, err, path)
		}
	}
}
