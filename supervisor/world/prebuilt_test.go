package world

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// A build without releases takes those that were built elsewhere, once; one that has its own keeps them,
// and one that was not built there is left alone.
func TestPrebuiltReleasesAreTakenByBuildsThatHaveNone(t *testing.T) {
	t.Parallel()
	pre, root := t.TempDir(), t.TempDir()
	for _, dir := range []string{"one/releases/x", "one/venvs/y", "two/releases/x", "two/venvs/y", "two/data"} {
		if err := os.MkdirAll(filepath.Join(pre, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(pre, "one/data")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "own/releases"), 0o755); err != nil {
		t.Fatal(err)
	}
	// A crash came between the two links; an image before had its releases elsewhere; only environments.
	for path, to := range map[string]string{"half/venvs": pre + "/half/venvs", "moved/venvs": "/gone/venvs", "moved/releases": "/gone/releases", "mixed/venvs": ""} {
		path = filepath.Join(root, path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && to == "" {
			err = os.Mkdir(path, 0o755)
		} else if err == nil {
			err = os.Symlink(to, path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"half", "moved", "mixed"} {
		for _, dir := range []string{"releases", "venvs"} {
			if err := os.MkdirAll(filepath.Join(pre, name, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(pre, "own/releases"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Root: root, Builds: []config.Build{{Name: "one"}, {Name: "two"}, {Name: "new"}, {Name: "own"},
		{Name: "half"}, {Name: "moved"}, {Name: "mixed"}}}
	for range 2 {
		if err := linkPrebuilt(cfg, pre); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"one/releases": pre + "/one/releases", "one/venvs": pre + "/one/venvs", "one/data": pre + "/one/data",
		"two/releases": pre + "/two/releases", "two/venvs": pre + "/two/venvs", "two/data": "", "own/releases": "", "new": "",
		"half/releases": pre + "/half/releases", "moved/venvs": pre + "/moved/venvs", "moved/releases": pre + "/moved/releases", "mixed/venvs": "", "mixed/releases": "",
	} {
		if to, _ := os.Readlink(filepath.Join(root, path)); to != want {
			t.Errorf("%s leads to %q, want %q", path, to, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "new")); err == nil {
		t.Error("a folder was made for a build that was not built there")
	}
	if err := linkPrebuilt(cfg, filepath.Join(pre, "missing")); err == nil {
		t.Error("a folder that is missing is no error")
	}
}

func TestPrebuiltReleasesThatOthersCanChangeAreNotTaken(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others, or lose by it")
	}
	const stranger = 65001
	for _, path := range []string{"one", "one/releases", "one/releases/x", "one/releases/x/API/manage.py", "one/venvs", "one/venvs/y/bin/python"} {
		pre, root := t.TempDir(), t.TempDir()
		for _, file := range []string{"one/releases/x/API/manage.py", "one/venvs/y/bin/python"} {
			file = filepath.Join(pre, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		cfg := &config.Config{Root: root, Builds: []config.Build{{Name: "one"}}}
		if err := os.Chown(filepath.Join(pre, path), stranger, -1); err != nil {
			t.Fatal(err)
		}
		if err := linkPrebuilt(cfg, pre); err == nil || !strings.Contains(err.Error(), filepath.Join(pre, path)+": its owner, user 65001, may ") {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Lstat(filepath.Join(root, "one/releases")); err == nil {
			t.Errorf("%s: it is taken", path)
		}
	}
}
