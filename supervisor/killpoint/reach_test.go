//go:build !killpoints

package killpoint

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestWithoutTheTagNothingHappens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "moments")
	t.Setenv("MEDCTRL_TEST_MOMENTS", path)
	t.Setenv("MEDCTRL_TEST_DIE_AT", "before x#1")
	Reach("before", "x")
	if matches, err := filepath.Glob(path); err != nil || matches != nil {
		t.Errorf("the moment was written down: %v, %v", matches, err)
	}
}

// The tests of what is built with the tag need a program that is built with it.
func TestWithTheTag(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-tags", "killpoints", "-count=1", ".").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
