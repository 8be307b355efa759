package process

import (
	"os"
	"regexp"
	"strconv"
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
	if loaded {
		t.Skip("a loader has written to this test binary, so nothing of it is given back")
	}
	if after := fromFiles(t); after >= before {
		t.Errorf("%d KiB before, %d KiB after", before, after)
	}
}
