package world

import (
	"io/fs"
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
	own := append(state.Files(root.Own()), root.Control(), root.LastGood(), root.Events(), filepath.Join(root.State(), "a.json"))
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
	for _, path := range []string{root.State(), root.Logs()} {
		if err := os.MkdirAll(root.Own(), 0o700); err != nil {
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
