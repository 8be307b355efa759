package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsInThePlaceOfWhatAnAttemptMakesIsMovedAside(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.made(t)
	dir := folderOf(p.root, p.Name)
	places := []string{dir.Releases(), dir.Venvs(), dir.Data(), dir.FailedLog(), dir.FailedRecord(), dir.StaticRecord()}
	folder := map[string]bool{dir.Releases(): true, dir.Venvs(): true, dir.Data(): true}
	for _, path := range places {
		must(t, os.RemoveAll(path))
		if folder[path] {
			must(t, os.WriteFile(path, []byte("theirs"), 0o600))
		} else {
			must(t, os.MkdirAll(filepath.Join(path, "theirs"), 0o700))
		}
	}
	p.made(t)
	for _, path := range places {
		theirs := path + ".aside"
		if info, err := os.Lstat(theirs); err != nil || info.IsDir() == folder[path] {
			t.Errorf("%s: %v, %v", theirs, info, err)
		}
	}
}
