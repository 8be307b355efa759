package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildFailsWithTheReasonAndMakesNothing(t *testing.T) {
	t.Parallel()
	d := newSite(t) // its interpreter prints nothing
	out, errOut, code := d.run("build", "development", "--root", filepath.Join(d.dir, "image"))
	if code != exitFailed || !strings.Contains(errOut, "development: ") || !strings.Contains(errOut, "bin/python3") || out != "" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if left, err := filepath.Glob(filepath.Join(d.dir, "image", "development", "releases", "*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "root")); err == nil {
		t.Error("the file's root was made")
	}
	if _, errOut, code := d.run("build", "developmnt"); code != exitFailed || !strings.Contains(errOut, `did you mean "development"?`) {
		t.Errorf("exit %d, %q", code, errOut)
	}
	for _, args := range [][]string{{"build"}, {"build", "a", "b"}} {
		if _, errOut, code := d.run(args...); code != exitUsage || !strings.Contains(errOut, "build NAME --root DIR") {
			t.Errorf("%v: exit %d, %q", args, code, errOut)
		}
	}
}
