package sandbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newSpares returns Spares for which every folder has been as it is for an hour.
func newSpares(t *testing.T) (*Spares, Kernel) {
	t.Helper()
	kernel, err := Here()
	if err != nil {
		t.Skip(err)
	}
	s := NewSpares()
	t.Cleanup(s.Close)
	s.now = func() time.Time { return time.Now().Add(time.Hour) }
	return s, kernel
}

// prepared prepares the start of a build, "one", and says whether a ruleset was kept.
func prepared(t *testing.T, s *Spares, p Policy) bool {
	t.Helper()
	s.Expect("one", "first")
	if err := s.Prepare("one", "first", p); err != nil {
		t.Fatal(err)
	}
	return len(s.kept) == 1
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// boxedFolder is a folder with something private in it, and a link to it.
func boxedFolder(t *testing.T) (dir, link string, p Policy) {
	dir = files(t, "a/file", "b/secret", "b/other", "c/file", "place")
	link = filepath.Join(dir, "link")
	must(t, os.Symlink(filepath.Join(dir, "a"), link))
	return dir, link, Policy{
		Read: []string{filepath.Join(dir, "b"), link, filepath.Join(dir, "later")}, Write: []string{filepath.Join(dir, "c")},
		Private: []string{filepath.Join(dir, "b/secret"), "/etc/hostname"}, Connect: &[]uint16{1},
	}
}

func TestSpareRulesetIsUsedOnce(t *testing.T) {
	s, kernel := newSpares(t)
	_, _, p := boxedFolder(t)
	if !prepared(t, s, p) {
		t.Fatal("none was kept")
	}
	ruleset := s.take("one", p.look(kernel))
	if ruleset == nil {
		t.Fatal("it was not right, although nothing changed")
	}
	ruleset.Close()
	if s.take("one", p.look(kernel)) != nil {
		t.Error("it was used twice")
	}
	if f, err := s.Ruleset("one", p); err != nil { // made
		t.Error(err)
	} else {
		f.Close()
	}
}

// Whatever another ruleset would be made of now, in the least, makes the spare one wrong.
func TestSpareRulesetIsNotUsedWhereItWouldGiveAnything(t *testing.T) {
	type change func(t *testing.T, dir, link string, p *Policy)
	for name, change := range map[string]change{
		"a file came where something is private": func(t *testing.T, dir, _ string, _ *Policy) {
			must(t, os.WriteFile(filepath.Join(dir, "b/new"), nil, 0o644))
		},
		"a file took the private name": func(t *testing.T, dir, _ string, _ *Policy) {
			must(t, os.Rename(filepath.Join(dir, "b/other"), filepath.Join(dir, "b/secret")))
		},
		"a file was exchanged": func(t *testing.T, dir, _ string, _ *Policy) {
			must(t, os.WriteFile(filepath.Join(dir, "new"), nil, 0o644),
				os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "b/other")))
		},
		"a link leads elsewhere": func(t *testing.T, dir, link string, _ *Policy) {
			must(t, os.Remove(link), os.Symlink(filepath.Join(dir, "c"), link))
		},
		"a link is a folder": func(t *testing.T, _, link string, _ *Policy) {
			must(t, os.Remove(link), os.Mkdir(link, 0o755))
		},
		"a folder is another one": func(t *testing.T, dir, _ string, _ *Policy) {
			must(t, os.RemoveAll(filepath.Join(dir, "c")), os.Mkdir(filepath.Join(dir, "c"), 0o755))
		},
		"a folder has another name": func(t *testing.T, dir, link string, _ *Policy) {
			must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "d")), os.Symlink("d", filepath.Join(dir, "a")))
		},
		"a folder went": func(t *testing.T, dir, _ string, _ *Policy) {
			must(t, os.RemoveAll(filepath.Join(dir, "c")))
		},
		"a folder came": func(t *testing.T, dir, _ string, _ *Policy) {
			must(t, os.Mkdir(filepath.Join(dir, "later"), 0o755))
		},
		"more is private": func(_ *testing.T, dir, _ string, p *Policy) {
			p.Private = append(p.Private, filepath.Join(dir, "a/file"))
		},
		"less may be read":      func(_ *testing.T, _, _ string, p *Policy) { p.Read = p.Read[:1] },
		"less may be written":   func(_ *testing.T, _, _ string, p *Policy) { p.Write = nil },
		"less is readable":      func(_ *testing.T, _, _ string, p *Policy) { p.Readable = func(string) bool { return false } },
		"root":                  func(_ *testing.T, _, _ string, p *Policy) { p.AsRoot = true },
		"another port":          func(_ *testing.T, _, _ string, p *Policy) { p.Connect = &[]uint16{2} },
		"no port may be bound":  func(_ *testing.T, _, _ string, p *Policy) { p.Bind = &[]uint16{} },
		"all ports may be used": func(_ *testing.T, _, _ string, p *Policy) { p.Connect = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, kernel := newSpares(t)
			if !kernel.TCP() && (name == "another port" || name == "no port may be bound" || name == "all ports may be used") {
				t.Skip("ports are not confined here")
			}
			dir, link, p := boxedFolder(t)
			if !prepared(t, s, p) {
				t.Fatal("none was kept")
			}
			change(t, dir, link, &p)
			if s.take("one", p.look(kernel)) != nil {
				t.Error("it was used")
			}
		})
	}
}

func TestSpareRulesetIsNotUsedAfterAMount(t *testing.T) {
	s, kernel := newSpares(t)
	dir, _, p := boxedFolder(t)
	if !prepared(t, s, p) {
		t.Fatal("none was kept")
	}
	at := filepath.Join(dir, "c")
	if err := unix.Mount(at, at, "", unix.MS_BIND, ""); err != nil {
		t.Skip("mount: ", err)
	}
	must(t, unix.Unmount(at, unix.MNT_DETACH))
	if s.take("one", p.look(kernel)) != nil {
		t.Error("it was used")
	}
}

// Two changes of a folder that lie close together may leave it with the same times.
func TestNoSpareRulesetIsMadeOfFoldersThatChangedJustNow(t *testing.T) {
	s, _ := newSpares(t)
	s.now = time.Now
	_, _, p := boxedFolder(t)
	if prepared(t, s, p) {
		t.Error("it was kept")
	}
}

func TestSpareRulesetGoesWithTheLastStartOfItsBuild(t *testing.T) {
	s, kernel := newSpares(t)
	_, _, p := boxedFolder(t)
	prepared(t, s, p)
	s.Expect("one", "second")
	s.Ended("one", "first")
	if len(s.kept) != 1 {
		t.Fatal("it went with an earlier one")
	}
	must(t, s.Prepare("one", "second", p))
	s.Ended("one", "second")
	if len(s.kept) != 0 || len(s.of) != 0 {
		t.Errorf("%d are kept, %d expected", len(s.kept), len(s.of))
	}
	must(t, s.Prepare("one", "second", p)) // as it ended while it was prepared
	if s.take("one", p.look(kernel)) != nil {
		t.Error("it was made for a build that has ended")
	}
}

func TestSpareRulesetsAreFew(t *testing.T) {
	s, kernel := newSpares(t)
	s.most = 2
	for _, build := range []string{"one", "two", "three"} {
		s.Expect(build, "")
		must(t, s.Prepare(build, "", Policy{}))
	}
	if len(s.kept) != 2 || s.take("one", Policy{}.look(kernel)) != nil {
		t.Errorf("%d are kept", len(s.kept))
	}
}

// What is around is looked at again where it may have changed: while its folders are young, and after each
// change of what is mounted.
func TestWhatIsAroundIsLookedAtAgain(t *testing.T) {
	s, _ := newSpares(t)
	first := s.around()
	if len(first) < len(devices) {
		t.Fatalf("%v", first)
	}
	again := func() bool { return &s.around()[0] != &first[0] }
	if s.known.links {
		t.Skip("something in / is a link")
	}
	if again() {
		t.Error("it is looked at again although nothing changed")
	}
	s.epoch++
	if !again() {
		t.Error("it is not looked at again after a mount")
	}
	first = s.around()
	s.known.listed[1].changed.Sec--
	if !again() {
		t.Error("it is not looked at again after a change of /dev")
	}
	first = s.around()
	s.now = func() time.Time { return time.Unix(s.known.listed[0].touched.Unix()).Add(time.Second) }
	if !again() {
		t.Error("it is not looked at again although / has just changed")
	}
}
