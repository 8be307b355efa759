package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace is set for the part of a test that has mounts of its own.
const inNamespace = "MEDCTRL_TEST_MOUNTS"

// What an image holds lies in the lower layer of a container's overlay file system, where no folder
// can be renamed. The test runs itself once more with mounts that nobody else sees.
func TestReleasesInTheLowerLayerOfAnOverlayArePruned(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		pruneLowerLayer(t)
		return
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount an overlay")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skipf("no namespace of mounts can be made here: %v", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
}

func pruneLowerLayer(t *testing.T) {
	p := newProject(t, "")
	p.KeepReleases = 1
	old := p.made(t)
	unused := filepath.Join(folderOf(p.root, p.Name).Venvs(), strings.Repeat("0", len(old.VenvID)))
	must(t, os.CopyFS(unused, os.DirFS(old.Venv)))
	must(t, writeEnvironmentRecord(unused, environmentRecord{Complete: true}))
	overlay(t, p.root)
	if err := os.Rename(old.Dir, old.Dir+"-renamed"); !errors.Is(err, unix.EXDEV) {
		t.Skipf("folders of a lower layer can be renamed here: %v", err)
	}

	p.write(t, "API/app/views.py", "A = 2\n")
	rel := p.made(t)
	must(t, SetCurrent(p.root, p.Name, rel.ID))
	must(t, Prune(p.root, p.Build, rel.ID))
	must(t, Prune(p.root, p.Build, rel.ID))
	if left, err := leftovers(folderOf(p.root, p.Name)); len(left) > 0 || err != nil {
		t.Errorf("%q is left, %v", left, err)
	}
	for _, gone := range []string{old.Dir, unused} {
		if exists(gone) {
			t.Errorf("%s is there still", gone)
		}
	}
	if all, err := List(p.root, p.Name); err != nil || len(all) != 1 || all[0].ID != rel.ID || !usable(all[0].Venv) {
		t.Errorf("releases %v, %v", all, err)
	}
}

// overlay makes what lies at path the lower layer of an overlay file system there, until the end of
// the test.
func overlay(t *testing.T, path string) {
	t.Helper()
	upper := t.TempDir()
	must(t, unix.Mount("tmpfs", upper, "tmpfs", 0, "")) // an overlay cannot be the upper layer of another
	t.Cleanup(func() { must(t, unix.Unmount(upper, unix.MNT_DETACH)) })
	must(t, os.Mkdir(filepath.Join(upper, "upper"), 0o755))
	must(t, os.Mkdir(filepath.Join(upper, "work"), 0o755))
	options := "redirect_dir=off,lowerdir=" + path + ",upperdir=" + filepath.Join(upper, "upper") + ",workdir=" + filepath.Join(upper, "work")
	if err := unix.Mount("overlay", path, "overlay", 0, options); err != nil {
		t.Skipf("no overlay file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(path, unix.MNT_DETACH)) })
}
