package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The edited builds.toml is bad because it names a file that does not exist yet: when that file
// comes, the edit is applied without a second one.
func TestEditThatNamesMissingSettingsIsAppliedWhenTheyCome(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	aside := w.Settings("two") + ".aside"
	if err := os.Rename(w.Settings("two"), aside); err != nil {
		t.Fatal(err)
	}
	w.Start()
	w.WaitState("one", "running")
	w.SetBuilds(tiny(), tinyEntry("two"))
	Eventually(t, 20*time.Second, "the refusal of the edit", func() (bool, string) {
		status, err := w.Status()
		return err == nil && strings.Contains(status.Config.Error, "deploy_two.py"), status.Config.Error
	})
	if err := os.Rename(aside, w.Settings("two")); err != nil {
		t.Fatal(err)
	}
	w.WaitState("two", "running")
}
