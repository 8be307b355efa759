package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// binDir holds the binary under test, and the folders of the tests, for as long as they run. The
// tests' folders are not in /tmp itself: the supervisors under test watch the folder that contains
// theirs, and the kernel goes through all names in it when a watch begins.
var binDir string

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "mc")
		if err == nil {
			err = os.Chmod(dir, 0o755) // gunicorns of other users run in it
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binDir = dir
		// What supervisors under test remember is forgotten with them.
		if err := os.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := inParallel(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}()
	os.Exit(code)
}

// inParallel lets more tests run at once than there are processors, unless -parallel says how many:
// they mostly wait.
func inParallel() error {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
}

// build makes the binary as the Makefile does, once, when the first test asks for it: without the
// race detector, because users do not run with its memory and delays.
var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("MEDCTRL_TEST_BINARY"); path != "" {
		return path, nil // where there is no Go
	}
	path := filepath.Join(binDir, "medctrl-supervisor")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=e2e", "-o", path, "../../cmd/medctrl-supervisor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary under test: %w\n%s", err, out)
	}
	return path, nil
})

// Binary returns the path of the real binary.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
