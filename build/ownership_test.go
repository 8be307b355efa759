package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFolderGetsWhatItLacksAndKeepsWhatElseItHas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		there fs.FileMode // 0: it is not
		want  fs.FileMode
	}{
		"missing":       {0, 0o750},
		"shut":          {fs.ModeDir, 0o750},
		"as it was":     {0o750, 0o750},
		"open to more":  {0o755, 0o755},
		"open to fewer": {0o700, 0o750},
	} {
		path := filepath.Join(dir, name)
		if c.there != 0 {
			if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, c.there.Perm())); err != nil {
				t.Fatal(err)
			}
		}
		if err := MakeFolder(path, 0o750, os.Geteuid(), os.Getegid()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != c.want {
			t.Errorf("%s: %v, %v; want %o", name, info, err, c.want)
		}
	}
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	if err := MakeFolder(file, 0o750, -1, -1); err == nil {
		t.Error("a file counts as a folder")
	}
	if err := MakeFolder(link, 0o750, -1, -1); err != nil {
		t.Errorf("a link that leads elsewhere: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("what it leads to is %v, %v", info, err)
	}
}

func TestFolderChangesHandsWithTheBuildsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	for _, id := range []int{0, 1234, 1235} {
		if err := MakeFolder(path, 0o750, id, id+1); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != id || int(st.Gid) != id+1 || info.Mode().Perm() != 0o750 {
			t.Errorf("it belongs to %d, %d and is %v; want %d, %d", st.Uid, st.Gid, info.Mode(), id, id+1)
		}
	}
}
