package statics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// record says which files of a STATIC_ROOT were put there for a build: what it does not name is
// somebody else's. It lies where the build's user cannot write.
type record struct {
	Root    string `json:"static_root"`
	Release string `json:"release,omitempty"` // whose files are live; "": a publication is under way
	// Next is the inode of the folder that is to get the name Root: it says whether an exchange that
	// was interrupted had happened.
	Next  uint64            `json:"next,omitempty"`
	Files map[string]placed `json:"files"`
}

// placed is a file as it was put into STATIC_ROOT.
type placed struct {
	File
	Release  string `json:"release"`  // the last that served with it
	Modified int64  `json:"modified"` // when, in nanoseconds
}

// readRecord returns an empty record of root where there is none of it, or none that can be
// understood: what lies there then counts as somebody else's.
func readRecord(b layout.Build, root string) (record, error) {
	empty := record{Root: root, Files: map[string]placed{}}
	text, err := untrusted.ReadBelow(b.Dir(), filepath.Base(b.StaticRecord()), mostListed)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("read the record of static files: %w", err)
	}
	var r record
	if json.Unmarshal(text, &r) != nil || r.Root != root || r.Files == nil {
		return empty, nil // what it says of another folder says nothing of this one
	}
	return r, nil
}

// Published returns the STATIC_ROOT that was last published to for a build, "" for none.
func Published(b layout.Build) string {
	var r record
	text, err := untrusted.ReadBelow(b.Dir(), filepath.Base(b.StaticRecord()), mostListed)
	if err != nil || json.Unmarshal(text, &r) != nil {
		return "" // whoever publishes next says what is wrong with it
	}
	return r.Root
}

// write replaces the record in one step. It is on the disk before anything it names is removed.
func (r record) write(b layout.Build) error {
	path := b.StaticRecord()
	temp := filepath.Join(filepath.Dir(path), ".tmp-"+filepath.Base(path))
	text, err := json.Marshal(r)
	if err == nil {
		err = writeSynced(temp, append(text, '\n'))
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp) // what failed is returned, not this
		return fmt.Errorf("write the record of static files: %w", err)
	}
	return nil
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
