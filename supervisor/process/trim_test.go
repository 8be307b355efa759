package process

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// fromFiles is how much memory this process has of files, in KiB (proc_pid_status(5)).
func fromFiles(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Skip("the kernel does not say how much memory is of files")
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// It is alone: while other tests run, they need their pages again at once.
func TestTrimGivesBackPagesOfTheProgram(t *testing.T) {
	loaded, err := isLoaded("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	before := fromFiles(t)
	if err := Trim(); err != nil {
		t.Fatal(err)
	}
	if loaded && os.Getenv("CGO_ENABLED") == "0" {
		t.Skip("every program for this machine is one that a loader writes to")
	}
	if loaded { // nothing of this test binary is given back, only of one like the program that is shipped
		static := exec.Command("go", "test", "-count=1", "-run", "^"+t.Name()+"$", "-v", ".")
		static.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		said, err := static.CombinedOutput()
		if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
			t.Errorf("in a static program: %v\n%s", err, said)
		}
		return
	}
	if after := fromFiles(t); after >= before {
		t.Errorf("%d KiB before, %d KiB after", before, after)
	}
}
