package statics

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// site is a build with its STATIC_ROOT.
type site struct {
	build layout.Build
	root  string
	as    config.Identity
	p     *Publisher
}

// newSite makes a site with a STATIC_ROOT that is missing yet.
func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{
		build: layout.Root(filepath.Join(dir, "root")).Build("one"), root: filepath.Join(dir, "www", "static"),
		as: config.Identity{UID: -1, GID: -1}, p: New(hclog.NewNullLogger()),
	}
	must(t, os.MkdirAll(s.build.Releases(), 0o755))
	must(t, os.MkdirAll(filepath.Dir(s.root), 0o755))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(dir, path)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// release makes a release with these static files.
func (s *site) release(t *testing.T, id string, files map[string]string) {
	t.Helper()
	r := s.build.Release(id)
	must(t, os.MkdirAll(r.Static(), 0o755))
	write(t, r.Static(), files)
	l, others, err := Look(t.Context(), r.Static())
	if err != nil || len(others) > 0 {
		t.Fatal(others, err)
	}
	must(t, l.Write(r.StaticList()))
	must(t, os.WriteFile(r.Record(), nil, 0o600))
}

func (s *site) request(id string) Request {
	return Request{Build: s.build, Release: id, Root: s.root, As: s.as}
}

func (s *site) publish(t *testing.T, id string) {
	t.Helper()
	must(t, s.p.Publish(t.Context(), s.request(id)))
}

// tree returns the files below a folder with what is in them.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text := []byte("a link")
		if d.Type().IsRegular() {
			if text, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		rel, err := filepath.Rel(dir, path)
		all[rel] = string(text)
		return err
	}))
	return all
}

// holds asserts what is in STATIC_ROOT, and that nothing is left next to it.
func (s *site) holds(t *testing.T, want map[string]string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(s.root)
	must(t, err)
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("STATIC_ROOT holds %v, want %v", got, want)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), nextSuffix) {
			t.Errorf("%s is left", e.Name())
		}
	}
}

var (
	first  = map[string]string{"a.css": "a1", "app.111.js": "one", "img/logo.svg": "logo"}
	second = map[string]string{"a.css": "a2", "app.222.js": "two", "img/logo.svg": "logo"}
	both   = map[string]string{"a.css": "a2", "app.111.js": "one", "app.222.js": "two", "img/logo.svg": "logo"}
	back   = map[string]string{"a.css": "a1", "app.111.js": "one", "app.222.js": "two", "img/logo.svg": "logo"}
)

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return stat(info).Ino
}

// ways are the two ways to publish; prepare makes a site of each.
var ways = map[string]func(t *testing.T, s *site){
	"exchange":     func(*testing.T, *site) {},
	"file by file": func(t *testing.T, s *site) { write(t, s.root, map[string]string{"theirs": "kept"}) },
}

// eachWay runs a test on a site of each way.
func eachWay(t *testing.T, test func(t *testing.T, way string, s *site)) {
	t.Helper()
	for way, prepare := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			prepare(t, s)
			test(t, way, s)
		})
	}
}

// withTheirs adds what somebody else has put into STATIC_ROOT in the second way.
func withTheirs(way string, files map[string]string) map[string]string {
	all := maps.Clone(files)
	if way == "file by file" {
		all["theirs"] = "kept"
	}
	return all
}

func TestFilesOfTheReleaseThatServesAreLive(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, way string, s *site) {
		s.release(t, "r1", first)
		s.release(t, "r2", second)
		s.publish(t, "r1")
		s.holds(t, withTheirs(way, first))
		logo, folder := inode(t, filepath.Join(s.root, "img/logo.svg")), inode(t, s.root)

		must(t, s.p.Stage(t.Context(), s.request("r2")))
		now := tree(t, s.root)
		maps.DeleteFunc(now, func(path, _ string) bool { return strings.HasPrefix(path, nextSuffix) })
		if !maps.Equal(now, withTheirs(way, first)) {
			t.Errorf("while the next release is checked STATIC_ROOT holds %v", now)
		}
		s.publish(t, "r2")
		s.holds(t, withTheirs(way, both)) // a page of the first is still open
		if inode(t, filepath.Join(s.root, "img/logo.svg")) != logo {
			t.Error("a file that did not change is another one")
		}
		if exchanged := inode(t, s.root) != folder; exchanged != (way == "exchange") {
			t.Errorf("the folder was exchanged: %v", exchanged)
		}
		s.publish(t, "r1") // a roll-back
		s.holds(t, withTheirs(way, back))
		must(t, os.RemoveAll(s.build.Release("r2").Dir()))
		s.publish(t, "r1")
		s.holds(t, withTheirs(way, first))
	})
}

func TestReleaseThatNeverServedLeavesNothing(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, way string, s *site) {
		s.release(t, "r1", first)
		s.release(t, "r2", second)
		s.release(t, "r3", map[string]string{"c.css": "c3"})
		s.publish(t, "r1")
		must(t, s.p.Stage(t.Context(), s.request("r2"))) // it fails its check
		must(t, s.p.Stage(t.Context(), s.request("r3")))
		s.publish(t, "r3")
		want := withTheirs(way, first)
		want["c.css"] = "c3"
		s.holds(t, want)
	})
}

func TestNothingIsDoneWhereTheFilesAreLiveAlready(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.release(t, "r1", first)
	s.release(t, "r2", first)
	s.publish(t, "r1")
	folder := inode(t, s.root)
	must(t, s.p.Stage(t.Context(), s.request("r2")))
	s.publish(t, "r2")
	if inode(t, s.root) != folder {
		t.Error("the folder was exchanged")
	}
	must(t, os.RemoveAll(s.build.Release("r1").Dir()))
	s.publish(t, "r2")
	s.holds(t, first)
}

func TestWhatSomebodyChangedIsPutRight(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, way string, s *site) {
		s.release(t, "r1", first)
		s.publish(t, "r1")
		must(t, os.Remove(filepath.Join(s.root, "app.111.js")))
		must(t, os.WriteFile(filepath.Join(s.root, "a.css"), []byte("edited by hand"), 0o644))
		s.publish(t, "r1")
		s.holds(t, withTheirs(way, first))
		must(t, os.RemoveAll(s.root))
		s.publish(t, "r1")
		s.holds(t, first)
	})
}

func TestFolderBecomesAFileAndBack(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, way string, s *site) {
		folder, file := map[string]string{"x/y/z": "deep", "b": "b"}, map[string]string{"x": "flat", "b": "b"}
		s.release(t, "r1", folder)
		s.release(t, "r2", file)
		s.publish(t, "r1")
		s.publish(t, "r2")
		s.holds(t, withTheirs(way, file))
		s.publish(t, "r1")
		s.holds(t, withTheirs(way, folder))
	})
}

func TestFolderOfAnEarlierRecipeIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	write(t, s.root, first)
	write(t, s.root, map[string]string{"uploads/x.png": "upload"})
	must(t, os.Symlink("uploads", filepath.Join(s.root, "media")))
	s.release(t, "r1", second)
	s.release(t, "r2", first)
	s.publish(t, "r1")
	want := maps.Clone(both)
	want["uploads/x.png"], want["media"] = "upload", "a link"
	s.holds(t, want) // whoever put app.111.js there
	s.publish(t, "r2")
	want["a.css"] = "a1"
	s.holds(t, want)
}

// Somebody uploads a file after the new folder was made.
func TestUploadDuringAnExchangeIsNotLost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.release(t, "r1", first)
	s.release(t, "r2", second)
	s.publish(t, "r1")
	must(t, s.p.Stage(t.Context(), s.request("r2")))
	write(t, s.root, map[string]string{"img/new/upload.png": "upload"})
	s.publish(t, "r2")
	want := maps.Clone(both)
	want["img/new/upload.png"] = "upload"
	s.holds(t, want)
}

func TestLinkToStaticRootStaysALink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	real := filepath.Join(filepath.Dir(filepath.Dir(s.root)), "srv", "files")
	must(t, os.MkdirAll(real, 0o750))
	must(t, os.Symlink(real, s.root))
	s.release(t, "r1", first)
	s.release(t, "r2", second)
	s.publish(t, "r1")
	s.publish(t, "r2")
	s.holds(t, both)
	if to, err := os.Readlink(s.root); err != nil || to != real {
		t.Errorf("it leads to %q: %v", to, err)
	}
}

// A link in STATIC_ROOT where a file is wanted is replaced, and what it leads to stays.
func TestLinksInStaticRootAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	elsewhere := filepath.Join(filepath.Dir(s.root), "elsewhere")
	write(t, elsewhere, map[string]string{"file": "theirs"})
	must(t, os.MkdirAll(s.root, 0o755))
	must(t, os.Symlink(filepath.Join(elsewhere, "file"), filepath.Join(s.root, "a.css")))
	s.release(t, "r1", map[string]string{"a.css": "a1"})
	s.publish(t, "r1")
	s.holds(t, map[string]string{"a.css": "a1"})
	must(t, os.Symlink(elsewhere, filepath.Join(s.root, "img")))
	s.release(t, "r2", second)
	if err := s.p.Publish(t.Context(), s.request("r2")); err == nil || !strings.Contains(err.Error(), "img") {
		t.Errorf("a link in the place of a folder: %v", err)
	}
	if got := tree(t, elsewhere); !maps.Equal(got, map[string]string{"file": "theirs"}) {
		t.Errorf("elsewhere is %v", got)
	}
	must(t, os.Remove(filepath.Join(s.root, "img")))
	s.publish(t, "r2")
	s.holds(t, map[string]string{"a.css": "a2", "app.222.js": "two", "img/logo.svg": "logo"})
}

func TestNewFolderHasTheModeOfTheOldOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	must(t, os.Mkdir(s.root, 0o700))
	must(t, os.Chmod(s.root, 0o751|fs.ModeSetgid))
	s.release(t, "r1", first)
	s.release(t, "r2", second)
	s.publish(t, "r1")
	before := inode(t, s.root)
	s.publish(t, "r2")
	if inode(t, s.root) == before {
		t.Error("nothing was exchanged")
	}
	for path, want := range map[string]fs.FileMode{"": 0o751 | fs.ModeSetgid | fs.ModeDir, "img": 0o751 | fs.ModeSetgid | fs.ModeDir, "a.css": 0o644} {
		info, err := os.Stat(filepath.Join(s.root, path))
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%q has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

// Death is the end of a supervisor between two steps of a publication.
func TestInterruptedPublicationIsRecovered(t *testing.T) {
	t.Parallel()
	for way, prepare := range ways {
		for _, then := range []string{"r1", "r2"} {
			for name, die := range map[string]func(t *testing.T, p *plan){
				"after it was prepared":     func(*testing.T, *plan) {},
				"after the record":          func(t *testing.T, p *plan) { must(t, p.between().write(p.Build)) },
				"after the exchange":        func(t *testing.T, p *plan) { half(t, p, false) },
				"while the old one is left": func(t *testing.T, p *plan) { half(t, p, true) },
				"before the last record":    func(t *testing.T, p *plan) { half(t, p, false); finish(t, p) },
			} {
				t.Run(way+", "+name+", then "+then, func(t *testing.T) {
					t.Parallel()
					s := newSite(t)
					prepare(t, s)
					s.release(t, "r1", first)
					s.release(t, "r2", second)
					s.publish(t, "r1")
					p, err := stage(t.Context(), s.request("r2"), true)
					must(t, err)
					die(t, p)
					s.p = New(hclog.NewNullLogger())
					s.publish(t, then)
					got := tree(t, s.root)
					delete(got, "app.222.js") // it may have been live
					want := withTheirs(way, map[string]map[string]string{"r1": first, "r2": both}[then])
					delete(want, "app.222.js")
					if !maps.Equal(got, want) {
						t.Errorf("STATIC_ROOT holds %v, want %v", got, want)
					}
					must(t, os.RemoveAll(s.build.Release(map[string]string{"r1": "r2", "r2": "r1"}[then]).Dir()))
					s.publish(t, then)
					s.holds(t, withTheirs(way, map[string]map[string]string{"r1": first, "r2": second}[then]))
				})
			}
		}
	}
}

// half begins what publish does.
func half(t *testing.T, p *plan, removing bool) {
	t.Helper()
	must(t, p.between().write(p.Build))
	if !p.whole {
		root, err := os.OpenRoot(p.dir)
		must(t, err)
		defer root.Close()
		must(t, p.place(root, slices.Index(p.put, "a.css")))
		return
	}
	next := filepath.Join(filepath.Dir(p.dir), p.nextTo())
	spare := p.dir + ".spare"
	must(t, os.Rename(p.dir, spare))
	must(t, os.Rename(next, p.dir))
	must(t, os.Rename(spare, next))
	if removing {
		must(t, os.Remove(filepath.Join(next, "a.css")))
	}
}

func finish(t *testing.T, p *plan) {
	t.Helper()
	if p.whole {
		must(t, p.sweep())
	}
}

func TestFailureSaysWhatAndWhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.release(t, "r1", first)
	must(t, os.WriteFile(s.root, nil, 0o644))
	if err := s.p.Stage(t.Context(), s.request("r1")); err == nil {
		t.Error("a file in the place of the folder was prepared for")
	}
	err := s.p.Publish(t.Context(), s.request("r1"))
	if err == nil || !strings.Contains(err.Error(), "move it away") || !strings.Contains(err.Error(), "release r1") || !strings.Contains(err.Error(), s.root) {
		t.Errorf("a file in the place of the folder: %v", err)
	}
	must(t, os.Remove(s.root))
	s.publish(t, "r1")
	s.holds(t, first)
	if err := s.p.Publish(t.Context(), s.request("r9")); err == nil {
		t.Error("a release that is not there was published")
	}
	s.holds(t, first)
}
