package world

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// daphne changes the mode of what it listens on, which only the owner may.
func TestPrivateListenerIsTheUsersAsThePublicOneIs(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "run", "private-1.sock")
	f, err := listenPrivately(path, config.Identity{UID: 65534, GID: 65534})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for path, owner := range map[string]uint32{path: 65534, filepath.Dir(path): 0} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != owner {
			t.Errorf("%s is owned by %d, want %d", path, st.Uid, owner)
		}
	}
}
