package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPowerIsCutInVM is one life of a virtual machine that .ci/test-power kills at a random moment and
// boots again, with the same disk for the root: what is on it must be whole before anything is
// started, the builds must serve without a person, and then there is an edit after the other until the
// power goes.
func TestPowerIsCutInVM(t *testing.T) {
	disk := os.Getenv("MEDCTRL_TEST_POWER")
	if disk == "" {
		t.Skip("needs a virtual machine whose power is cut: make test-power")
	}
	names := []string{"one", "two"}
	w := NewWorld(t, tinyEntry("one"), tinyEntry("two"))
	w.Prepared = false // an environment may be cut off while it is made
	w.Root = filepath.Join(disk, "root")
	if err := os.WriteFile(filepath.Join(w.Source, "requirements.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.File, []byte(strings.Replace(w.Config(), `root = "root"`, fmt.Sprintf("root = %q", w.Root), 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, name := range names {
		before[name] = w.afterPowerCut(name)
	}
	if t.Failed() {
		return
	}
	t.Logf("power: whole, current %v", before)

	boot := time.Now().UnixNano()
	edit := func(name string, n int) {
		w.SetBanner(name, fmt.Sprintf("%s of boot %d, edit %d", name, boot, n), RenameOver)
	}
	for _, name := range names {
		edit(name, 0)
	}
	w.Start()
	began := time.Now()
	served := map[string]Answer{}
	Eventually(t, 8*time.Minute, "both builds to serve", func() (bool, string) {
		for _, name := range names {
			if served[name].Status == 0 {
				if a, err := Ask("unix", w.Socket(name), "/"); err == nil && a.Status == 200 {
					served[name] = a
				}
			}
		}
		return len(served) == len(names), w.Log()
	})
	for _, name := range names {
		switch got := served[name].Header.Get("X-Release"); {
		case got < before[name]:
			t.Errorf("%s: release %s serves, which is older than %s, which was current", name, got, before[name])
		case got == before[name]:
			t.Logf("power: %s serves what it served before", name)
		}
	}
	if t.Failed() {
		return
	}
	fmt.Printf("power: serves %.2f s after the start of the supervisor\n", time.Since(began).Seconds())
	// Whatever comes next may be cut off. Somebody edits, commands, and kills meanwhile.
	for n := 1; time.Since(began) < 10*time.Minute; n++ {
		name := names[rand.IntN(len(names))]
		switch rand.IntN(6) {
		case 0:
			w.CLI("restart", "--no-wait", name)
		case 1:
			w.CLI("rebuild", "--no-wait", name)
		default:
			edit(name, n)
		}
		pause(time.Duration(rand.Int64N(int64(2 * time.Second))))
	}
	t.Error("the power was not cut")
}

// afterPowerCut asserts that what a build has on the disk is whole: each release with its name, its
// environment, the link to the one that serves, the supervisor's records. It returns that release.
func (w *World) afterPowerCut(name string) string {
	w.t.Helper()
	w.wholeReleases(name, "at this boot")
	current, err := os.Readlink(filepath.Join(w.Root, name, "current"))
	if os.IsNotExist(err) {
		return "" // the first build was cut off
	}
	if err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
	if _, err := os.Stat(filepath.Join(w.Root, name, current, "release.json")); err != nil {
		w.t.Errorf("%s: current leads to %s, which is no release: %v", name, current, err)
	}
	records, err := filepath.Glob(filepath.Join(w.Root, ".supervisor", "state", "*.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range records {
		var record map[string]any
		if err := json.Unmarshal([]byte(readAll(path)), &record); err != nil {
			w.t.Errorf("record %s: %v: %q", path, err, readAll(path))
		}
	}
	return filepath.Base(current)
}
