package world

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/sdnotify"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// put puts something of another kind at a path, in one step.
var put = map[string]func(path string) error{
	"file":          func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o600) },
	"folder":        func(path string) error { return os.MkdirAll(filepath.Join(path, "theirs"), 0o700) },
	"FIFO":          func(path string) error { return unix.Mkfifo(path, 0o600) },
	"dangling link": func(path string) error { return os.Symlink("nowhere", path) },
}

func TestWhatIsInThePlaceOfThePublicSocketIsMovedAside(t *testing.T) {
	t.Parallel()
	root := layout.Root(t.TempDir())
	log := hclog.NewNullLogger()
	s := sockets{root: root, log: log, guard: listener.NewGuard(log), holder: newHolder(root, sdnotify.NewStore(nil, log), nil, log)}
	b := root.Build("a")
	entry := &config.Build{Name: "a", SocketMode: 0o600}
	isSocket := func(what string) {
		t.Helper()
		if info, err := os.Lstat(b.Socket()); err != nil || info.Mode().Type() != fs.ModeSocket {
			t.Errorf("%s: the public name leads to %v, %v", what, info, err)
		}
	}
	if err := os.MkdirAll(string(b), 0o755); err != nil {
		t.Fatal(err)
	}
	for what, place := range put {
		if err := place(b.Socket()); err != nil {
			t.Fatal(err)
		}
		public, err := s.Bind(b.Socket(), entry)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		isSocket(what + " before it is bound")
		for when, again := range map[string]func() error{
			"restored": public.Restore,
			"given": func() error {
				next, err := s.Bind(b.Staging(), entry)
				if err != nil {
					return err
				}
				defer next.Close()
				return next.Take(b.Socket())
			},
		} {
			if err := os.Remove(b.Socket()); err != nil {
				t.Fatal(err)
			}
			if err := place(b.Socket()); err != nil {
				t.Fatal(err)
			}
			if err := again(); err != nil {
				t.Errorf("%s, %s: %v", what, when, err)
			}
			isSocket(what + " before it is " + when)
		}
		if err := public.Close(); err != nil {
			t.Error(err)
		}
		os.Remove(b.Socket()) // a test may have left a name of a socket that is closed
	}
	kept, err := filepath.Glob(b.Socket() + ".aside*")
	if err != nil || len(kept) != 3*len(put) {
		t.Errorf("kept are %v, %v", kept, err)
	}
}

func TestWhatIsInThePlaceOfTheSupervisorsOwnIsMovedAside(t *testing.T) {
	t.Parallel()
	root := layout.Root(t.TempDir())
	own := append(state.Files(root.Own()), root.Control(), root.LastGood(), root.LastGood()+".new", root.Events(), root.Events()+".1",
		filepath.Join(root.State(), "a.json"), filepath.Join(root.State(), ".a.json.new"))
	for what, place := range put {
		if err := os.MkdirAll(root.State(), 0o700); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		for _, path := range own {
			if err := place(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := setOwnAside(root, hclog.New(&hclog.LoggerOptions{Output: &log})); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for _, path := range own {
			if what == "file" && path != root.Control() {
				continue // it is of the right kind, what is in it is not looked at here
			}
			if _, err := os.Lstat(path); err == nil || !strings.Contains(log.String(), path+".aside") {
				t.Errorf("%s: %s is there still; log %s", what, path, &log)
			}
		}
		if err := os.RemoveAll(root.Own()); err != nil {
			t.Fatal(err)
		}
	}
	// Folders.
	for _, path := range []string{root.Own(), root.State(), root.Logs(), root.MigrationLocks()} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := setOwnAside(root, hclog.NewNullLogger()); err != nil {
			t.Error(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Error(err)
		}
	}
	// A link in the place of a folder may lead to where somebody wants it to be.
	if err := os.Remove(root.Logs()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), root.Logs()); err != nil {
		t.Fatal(err)
	}
	if err := setOwnAside(root, hclog.NewNullLogger()); err != nil {
		t.Error(err)
	}
	if _, err := os.Readlink(root.Logs()); err != nil {
		t.Error(err)
	}
}

// A folder that is nowhere is worth nothing, whoever meant it; data may come back with its file system.
func TestLinkThatLeadsToNoFolderIsMovedAside(t *testing.T) {
	t.Parallel()
	for what, target := range map[string]string{"to a file": "/etc/hostname", "dangling": "/nowhere/x", "to a device": "/dev/null"} {
		root, log := layout.Root(t.TempDir()), hclog.NewNullLogger()
		data := root.Build("a").Data()
		for _, path := range []string{root.Own(), root.Build("a").Run(), data} {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		}
		if err := setOwnAside(root, log); err != nil {
			t.Error(err)
		}
		if err := state.Private(root.State()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := setAside(root.Build("a").Run(), fs.ModeDir, log); err != nil {
			t.Error(err)
		}
		if err := setDataAside(data, log); err != nil {
			t.Error(err)
		}
		for _, path := range []string{root.Own(), root.Build("a").Run()} {
			if to, err := os.Readlink(path + ".aside"); to != target {
				t.Errorf("%s: %s.aside leads to %q, %v", what, path, to, err)
			}
		}
		if _, err := os.Lstat(data); (err == nil) != (what == "dangling") {
			t.Errorf("%s: %s: %v", what, data, err)
		}
	}
}

func TestWhatIsInThePlaceOfALogIsMovedAside(t *testing.T) {
	t.Parallel()
	root := layout.Root(t.TempDir())
	path := layout.Log(root.Logs(), "a")
	places := maps.Clone(put)
	delete(places, "file") // is a log
	places["second name"] = func(path string) error {
		return errors.Join(os.WriteFile(path+".first", nil, 0o600), os.Link(path+".first", path))
	}
	places["link"] = func(path string) error { return os.Symlink("/etc/hostname", path) }
	if os.Geteuid() == 0 {
		places["stranger's"] = func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 65001, 0))
		}
	}
	if err := os.MkdirAll(root.Logs(), 0o750); err != nil {
		t.Fatal(err)
	}
	for what, place := range places {
		if err := place(path); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		f, err := trees{root: root, log: hclog.New(&hclog.LoggerOptions{Output: &log})}.output(path)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o640 || !strings.Contains(log.String(), path+".aside") {
			t.Errorf("%s: %v, %v, log %s", what, info, err, &log)
		}
		f.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if aside, err := filepath.Glob(path + ".aside*"); err != nil || len(aside) != len(places) {
		t.Errorf("kept are %v, %v", aside, err)
	}
	// What is in the place of their folder too.
	if err := os.RemoveAll(root.Logs()); err != nil {
		t.Fatal(err)
	}
	for what, place := range put {
		if err := place(root.Logs()); err != nil {
			t.Fatal(err)
		}
		f, err := trees{root: root, log: hclog.NewNullLogger()}.output(path)
		if err != nil {
			t.Errorf("%s in the place of the folder: %v", what, err)
			continue
		}
		f.Close()
		if err := os.RemoveAll(root.Logs()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsInThePlaceOfTheLinkToTheCurrentReleaseIsMovedAside(t *testing.T) {
	t.Parallel()
	for what, place := range put {
		root := layout.Root(t.TempDir())
		b := root.Build("a")
		if err := os.MkdirAll(string(b), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := place(b.Current()); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		r := releases{build.New(build.Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log})}), root}
		if err := r.SetCurrent("a", "r1"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if to, err := os.Readlink(b.Current()); err != nil || to != b.CurrentTo("r1") {
			t.Errorf("%s: current leads to %s, %v", what, to, err)
		}
		if what == "dangling link" {
			continue // a link is ours to replace
		}
		if _, err := os.Lstat(b.Current() + ".aside"); err != nil || !strings.Contains(log.String(), ".aside") {
			t.Errorf("%s: %v, log %s", what, err, &log)
		}
	}
}

// Of a thousand records none is asked about, only what is no file.
func TestOnlyWhatIsNoFileIsFoundAmongThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := map[string]bool{}
	for what, place := range put {
		for _, name := range []string{what + ".json", what + ".txt"} {
			if err := place(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if what != "file" {
			want[filepath.Join(dir, what+".json")] = true
		}
	}
	found, err := others(filepath.Join(dir, "*.json"))
	got := map[string]bool{}
	for _, path := range found {
		got[path] = true
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if found, err := others(filepath.Join(dir, "nowhere", "*")); len(found) > 0 || err != nil {
		t.Errorf("in a folder that is not there: %v, %v", found, err)
	}
}
