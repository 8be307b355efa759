package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// environmentRecord says what an environment is. It lies beside the environment's folder and not in
// it: the folder belongs to the build's user while packages are installed, and anything there may
// have been written by one of them. An environment has a record from before its first command on.
type environmentRecord struct {
	Complete bool `json:"complete"` // everything is installed, sealed and on the disk
	Gunicorn bool `json:"gunicorn"` // gunicorn can be imported
	// Sum is what environmentSum said of it then; "": an earlier version of this program made it.
	Sum string `json:"sum,omitempty"`
}

// environmentRecordPath is the record of the environment at venv.
func environmentRecordPath(venv string) string { return venv + ".json" }

// readEnvironmentRecord returns the zero record where an environment is not there or not finished.
func readEnvironmentRecord(venv string) (r environmentRecord) {
	if info, err := os.Stat(venv); err != nil || !info.IsDir() {
		return r
	}
	text, err := inputs.ReadText(os.OpenFile, environmentRecordPath(venv))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return readOldMark(venv)
	case err != nil || json.Unmarshal(text, &r) != nil:
		return environmentRecord{} // it is made again
	}
	return r
}

// writeEnvironmentRecord writes the record so that a power cut leaves the one before or this one.
func writeEnvironmentRecord(venv string, r environmentRecord) error {
	path := environmentRecordPath(venv)
	temp := unfinished(path)
	text, err := json.Marshal(r)
	if err == nil {
		err = os.RemoveAll(temp)
	}
	if err == nil {
		err = writeNew(temp, append(text, '\n'), 0o640)
	}
	if err == nil {
		err = syncOne(temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncOne(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write record of environment %s: %w", venv, err)
	}
	return nil
}

// removeEnvironment removes an environment with its record. The record goes last: without it, what
// is left of the folder could be believed.
func removeEnvironment(venv string) error {
	if err := os.RemoveAll(venv); err != nil {
		return err
	}
	return removeEnvironmentRecord(venv)
}

func removeEnvironmentRecord(venv string) error {
	if err := os.Remove(environmentRecordPath(venv)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// oldMark was written last into an environment by versions of this program without records, and
// held oldMarkGunicorn where gunicorn can be imported.
const (
	oldMark         = ".medctrl-complete"
	oldMarkGunicorn = "gunicorn\n"
)

// readOldMark reads the mark of an environment that has no record, and so was made by an earlier
// version. The mark counts where it belongs, like the environment itself, to whom the folder of all
// environments belongs: while packages were installed all of it was the build user's.
func readOldMark(venv string) environmentRecord {
	path := filepath.Join(venv, oldMark)
	mark, err := os.Lstat(path)
	if err != nil || !mark.Mode().IsRegular() {
		return environmentRecord{}
	}
	if stat, ok := mark.Sys().(*syscall.Stat_t); !ok || stat.Nlink != 1 {
		return environmentRecord{} // a second name of somebody's file
	}
	folder, err := os.Lstat(venv)
	all, aerr := os.Stat(filepath.Dir(venv))
	if err != nil || aerr != nil || inputs.OwnerOf(mark) != inputs.OwnerOf(all) || inputs.OwnerOf(folder) != inputs.OwnerOf(all) {
		return environmentRecord{}
	}
	text, err := inputs.ReadText(os.OpenFile, path)
	return environmentRecord{Complete: err == nil, Gunicorn: string(text) == oldMarkGunicorn}
}

func complete(venv string) bool { return readEnvironmentRecord(venv).Complete }

// usable says whether an environment is complete and has its interpreter still.
func usable(venv string) bool {
	_, err := os.Stat(filepath.Join(venv, "bin", "python"))
	return err == nil && complete(venv)
}

func hasGunicorn(venv string) bool { return readEnvironmentRecord(venv).Gunicorn }
