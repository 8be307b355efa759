package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Somebody ran chown -R or chmod -R over the root of a supervisor that is running.
func TestOwnFolderThatWasGivenAwayOrOpenedIsTakenBack(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	all := func(root layout.Root, change func(path string) error) {
		if err := filepath.WalkDir(string(root), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				err = change(path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(path string) error{
		"given away": func(path string) error { return os.Lchown(path, 65001, 65001) },
		"opened":     func(path string) error { return os.Chmod(path, 0o777) },
		"both":       func(path string) error { return errors.Join(os.Chmod(path, 0o777), os.Lchown(path, 65001, 65001)) },
	} {
		root := layout.Root(filepath.Join(t.TempDir(), "root"))
		for _, dir := range []string{root.State(), root.Logs()} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		lock, _, err := state.Lock(root.Own())
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		id, err := state.RootID(root.Own())
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{root.LastGood(), root.Events()} {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		all(root, change)
		var log strings.Builder
		o := &own{root: root, id: id, lock: lock, commands: &commands{readers: -1}, log: hclog.New(&hclog.LoggerOptions{Output: &log})}
		o.restore()
		if !strings.Contains(log.String(), "cannot any more") || strings.Contains(log.String(), "not as it should be") {
			t.Errorf("%s: log %s", what, &log)
		}
		if _, err := os.Lstat(root.LastGood()); err == nil {
			t.Errorf("%s: the copy that others could have open is still there", what)
		}
		all(root, func(path string) error {
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			private := info.Mode().IsRegular()
			if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || info.Mode()&0o022 != 0 || private && info.Mode() != 0o600 {
				t.Errorf("%s: %s is %v of user %d", what, path, info.Mode(), st.Uid)
			}
			return nil
		})
	}
}

// What is above the root is not ours to change.
func TestFolderAboveTheRootIsLeftToItsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	above := t.TempDir()
	root := layout.Root(filepath.Join(above, "root"))
	if err := os.MkdirAll(root.Own(), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{above, string(root)} {
		if err := os.Chown(dir, 65001, 65001); err != nil {
			t.Fatal(err)
		}
	}
	if err := reclaim(hclog.NewNullLogger(), string(root), root.Own()); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{above, string(root)} {
		if info, err := os.Stat(dir); err != nil || info.Sys().(*syscall.Stat_t).Uid != 65001 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}
