package e2e

import (
	"os"
	"testing"
)

// ShortDir is a temporary folder whose sockets stay below the 107 bytes a unix socket's path may
// have; t.TempDir contains the test's whole name. It is removed when the test ends.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(binDir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}
