package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEveryCommandOfTheReadmeWorks runs the README's sh blocks in order, in a copy of a clone.
// `make run` runs in the background, as the README says, and is ended by Ctrl-C; `make test` is
// left out, as it runs this test.
func TestEveryCommandOfTheReadmeWorks(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	clone := filepath.Join(w.Dir, "clone")
	copyClone(t, clone)
	w.File = filepath.Join(clone, "examples", "builds.toml")
	w.Root = filepath.Join(clone, "run")
	// The example accepts only the host names that the README uses.
	_, port, err := net.SplitHostPort(w.Front)
	if err != nil {
		t.Fatal(err)
	}
	w.Front = net.JoinHostPort("127.0.0.1", port)
	w.Replace(w.File, "127.0.0.1:8080\" ", w.Front+"\" ", Overwrite)

	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(readAll("../../README.md"), -1)
	if len(blocks) < 3 {
		t.Fatalf("README.md has %d sh blocks, want at least make run, what to try, and make test", len(blocks))
	}
	for _, block := range blocks {
		script := strings.ReplaceAll(block[1], "127.0.0.1:8080", w.Front)
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = clone
		switch strings.TrimSpace(script) {
		case "make test":
			continue
		case "make run":
			w.start(cmd)
			w.WaitState("development", "running")
			w.WaitState("testing", "running")
			continue
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		} else if strings.Contains(script, "curl") && !strings.Contains(string(out), `"banner": "development"`) {
			t.Errorf("%s printed\n%s", script, out)
		}
	}

	if !w.Running() {
		t.Fatal("README.md has no `make run`, or it has ended")
	}
	// what Ctrl-C does: signal the terminal's whole group
	if err := syscall.Kill(-w.Pid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	w.WaitEnd(60 * time.Second) // the exit code is make's own, for having been interrupted
	Eventually(t, 5*time.Second, "the end of everything that make run started", func() (bool, string) {
		left := w.Processes()
		return len(left) == 0, fmt.Sprint(left)
	})
	if _, err := os.Lstat(w.Socket("development")); !os.IsNotExist(err) {
		t.Errorf("the public socket after Ctrl-C: %v", err)
	}
}

// copyClone copies what building and running needs, without what only tests need.
func copyClone(t *testing.T, to string) {
	t.Helper()
	for _, dir := range []string{".ci", "build", "cmd", "config", "docs", "examples", "supervisor"} {
		if err := os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"Makefile", "go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(to, file), []byte(readAll(filepath.Join("../..", file))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
