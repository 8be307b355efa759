package handover

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The environment of whoever starts a supervisor may name any descriptor.
func TestFileThatNoSupervisorLeftIsNotRead(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "handover"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"version": 1, "from": "1.4.0", "cgroups": ["/sys/fs/cgroup/a"]}`); err != nil {
		t.Fatal(err)
	}
	h, _, err := Take([]string{key + "=" + strconv.Itoa(int(f.Fd()))})
	if err == nil || !strings.Contains(err.Error(), "not what a supervisor leaves to its successor") || h.Version > 0 {
		t.Errorf("given %v, error %v", h.Version > 0, err)
	}
	if _, err := f.Stat(); err != nil {
		t.Error("it was closed:", err)
	}
}
