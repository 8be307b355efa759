package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// disk is a file system in a file, mounted at a world's root.
type disk struct {
	t     testing.TB
	image string
	at    string
}

// newDisk mounts an empty ext4 at a path, for the root of a world.
func newDisk(t testing.TB, at string) *disk {
	t.Helper()
	d, why := tryDisk(t, at)
	if d == nil {
		t.Skip(why)
	}
	return d
}

// tryDisk is newDisk, or says why there can be none.
func tryDisk(t testing.TB, at string) (d *disk, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, "needs root: it mounts"
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, err.Error()
		}
	}
	d = &disk{t: t, image: filepath.Join(t.TempDir(), "disk"), at: at}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 96<<20); err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", d.image)
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, at).CombinedOutput(); err != nil {
		return nil, fmt.Sprintf("no loop devices here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		for exec.Command("umount", "--lazy", at).Run() == nil { // until nothing is mounted there
		}
	})
	return d, ""
}

func (d *disk) run(argv ...string) {
	d.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// Cut returns a copy of what is on the device now: what a power cut would leave.
func (d *disk) Cut(n int) string {
	d.t.Helper()
	image := fmt.Sprintf("%s.%d", d.image, n)
	d.run("cp", "--sparse=always", d.image, image)
	return image
}

func (d *disk) Unmount() {
	d.t.Helper()
	Eventually(d.t, 20*time.Second, "the disk to be unmounted", func() (bool, string) {
		out, err := exec.Command("umount", d.at).CombinedOutput()
		return err == nil, string(out)
	})
}

// TestPowerCutAtAnyMomentLeavesAConsistentRoot runs a first build, its exchange and an edit on a
// disk of its own, copies the disk at each moment after which something must be on it, and starts
// from each copy as after a power cut.
func TestPowerCutAtAnyMomentLeavesAConsistentRoot(t *testing.T) {
	t.Parallel()
	w := mortalWorld(t)
	w.Prepared = false // a power cut may come while the environment is made
	d := newDisk(t, w.Root)
	w.DieAt("never")
	w.Start()
	cuts := map[string]string{}
	var order []string
	walk := func(banner string) {
		for {
			stopped, over := false, false
			since := time.Now()
			Eventually(t, 60*time.Second, "the next moment", func() (bool, string) {
				p, ok := readProcess(fmt.Sprintf("/proc/%d", w.Pid()))
				stopped = ok && p.State == "T"
				if !stopped && time.Since(since) > time.Second {
					// the server itself, which is never stopped
					a, err := Ask("unix", w.Socket("one"), "/")
					over = err == nil && a.Header.Get("X-Banner") == banner
				}
				return stopped || over, ""
			})
			if over {
				return
			}
			moments := w.Moments()
			last := moments[len(moments)-1]
			// Steps begin nothing that must last, except these.
			for _, word := range []string{"after_step_install", "after_step_compile", "after_the", "after_Swap", "after_Spawn", "pruned"} {
				if strings.Contains(last, word) && cuts[last+banner] == "" {
					cuts[last+banner] = d.Cut(len(cuts))
					order = append(order, last+banner)
				}
			}
			w.Signal(syscall.SIGCONT)
		}
	}
	walk("one")
	w.SetBanner("one", "edited", RenameOver)
	walk("edited")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	KillAll(t, w.Processes(), syscall.SIGKILL)
	d.Unmount()
	w.DieAt("")
	reused := 0
	for _, moment := range order {
		d.run("mount", "-o", "loop", cuts[moment], d.at)
		reused += w.releasesAreWhole(moment)
		w.Start()
		w.Whole(moment, "edited")
		w.releasesAreWhole(moment)
		if t.Failed() {
			return
		}
		w.Stop()
		d.Unmount()
		if err := os.Remove(cuts[moment]); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(w.Log(), "is damaged") {
		t.Errorf("state was torn: %s", w.Log())
	}
	t.Logf("%d cuts, after %d of which there was a release: %q", len(order), reused, order)
	if len(order) < 10 || reused < 5 {
		t.Errorf("only %d cuts, and %d with a release: that tests too little", len(order), reused)
	}
}

func (w *World) releasesAreWhole(moment string) int { return w.wholeReleases("one", moment) }

// wholeReleases asserts that every release of a build with its final name is complete, and returns 1
// if there is one.
func (w *World) wholeReleases(name, moment string) int {
	w.t.Helper()
	found := 0
	releases, err := filepath.Glob(filepath.Join(w.Root, name, "releases", "2*"))
	if err != nil {
		w.t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(w.Source, "API", "tiny_server.py"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, dir := range releases {
		found = 1
		got, err := os.ReadFile(filepath.Join(dir, "API", "tiny_server.py"))
		if err != nil || !bytes.Equal(got, want) {
			w.t.Errorf("cut %s: release %s has %d of %d bytes of a file (%v)", moment, dir, len(got), len(want), err)
		}
		var record struct{ Venv string }
		text, err := os.ReadFile(filepath.Join(dir, "release.json"))
		if err == nil {
			err = json.Unmarshal(text, &record)
		}
		if err != nil {
			w.t.Errorf("cut %s: record of release %s: %v", moment, dir, err)
		}
		if conf, err := os.ReadFile(filepath.Join(w.Root, name, "venvs", record.Venv, "pyvenv.cfg")); err != nil || len(conf) == 0 {
			w.t.Errorf("cut %s: environment of release %s is incomplete: %d bytes, %v", moment, dir, len(conf), err)
		}
	}
	return found
}
