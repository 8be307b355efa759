package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Hooks are told what happened, and one that hangs delays nothing.
func TestHooksAreCalledAndDelayNothing(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	script := filepath.Join(w.Dir, "hook")
	if err := os.WriteFile(script, []byte(`#!/bin/sh
echo "$1 $MEDCTRL_BUILD $MEDCTRL_EVENT $MEDCTRL_RELEASE $MEDCTRL_REASON $SECRET" >> "$MEDCTRL_DATA/hooks"
[ "$MEDCTRL_EVENT" != exited ] || sleep 3600
`), 0o755); err != nil {
		t.Fatal(err)
	}
	w.Env = []string{"SECRET=not handed down"}
	w.SetBuilds(tiny(`hooks = { after_swap = ["` + script + `", "swapped"], on_failure = ["` + script + `", "failed"] }`))
	first := w.Serve("one")
	called := func(want string) {
		t.Helper()
		Eventually(t, patience, "the hook's line "+want, func() (bool, string) {
			text := readAll(w.Data("one", "hooks"))
			return strings.Contains(text, want), text
		})
	}
	called("swapped one took_over " + first.Release + "  \n")
	old := w.KillMaster("one", syscall.SIGKILL) // its hook hangs from now on
	called("failed one exited " + first.Release + " killed by SIGKILL \n")
	w.WaitPid("one", old)
	w.SaveSettings("one", `SECRET_KEY = "random secret key"`, RenameOver)
	called("failed one build_failed  build step settings:")
	w.SetBanner("one", "fixed", RenameOver)
	w.WaitBanner("one", "fixed")
	called("swapped one took_over " + w.WaitRelease("one", first.Release).Release)
	if text := readAll(w.Data("one", "hooks")); strings.Contains(text, "not handed down") {
		t.Errorf("a hook has our environment: %s", text)
	}
	w.Stop() // the hook that hangs ends with it
}
