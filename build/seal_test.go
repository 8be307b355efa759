package build

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The application that serves runs as the user whose files are sealed, and may exchange them meanwhile.
func TestSealTouchesNothingElseWhateverIsExchanged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	must(t, os.WriteFile(secret, nil, 0o600))
	sub, link := filepath.Join(dir, "sub"), filepath.Join(dir, "link")
	must(t, os.Mkdir(sub, 0o777))
	must(t, os.WriteFile(filepath.Join(sub, "secret"), nil, 0o640))
	must(t, os.Symlink(outside, link))
	var attacker sync.WaitGroup
	stop := make(chan struct{})
	attacker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, sub, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	defer attacker.Wait()
	defer close(stop)
	for range 2000 {
		if err := seal(dir, 65001, 65002); err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		must(t, syscall.Lstat(secret, &st))
		if st.Gid == 65001 || st.Mode&0o777 != 0o600 {
			t.Fatalf("a file outside is of %d:%d with mode %o", st.Uid, st.Gid, st.Mode)
		}
	}
}

// Names of one file that are all theirs are no second name of somebody else's, then and later.
func TestSealTakesAllNamesOfAFileOfTheBuildsUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	must(t, os.WriteFile(first, nil, 0o666))
	must(t, os.Link(first, second))
	must(t, os.Chown(first, 65002, 65002))
	must(t, os.Chown(dir, 65002, 65002))
	for range 2 {
		must(t, seal(dir, 65001, 65002))
	}
	info, err := os.Stat(second)
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 || stat.Gid != 65001 || info.Mode().Perm() != 0o640 {
		t.Errorf("%d:%d %v", stat.Uid, stat.Gid, info.Mode())
	}
}
