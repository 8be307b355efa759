package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

const (
	suffix    = ".json"
	badSuffix = ".json.bad"
)

// names is what a build may be called, so that a file's name is never a path.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9_]*$`)

// Store is a folder of records. Its methods may be called from several goroutines; one process at a
// time may write (Lock).
type Store struct {
	dir  string
	mu   sync.Mutex
	one  map[string]*sync.Mutex // by build: files of different builds are synced at the same time
	left map[string]stamp       // by build: its file as Save left it
}

// Open returns the store in dir, which is made where it is missing and is 0700 afterwards. What a
// killed writer left half done is removed.
func Open(dir string) (*Store, error) {
	if err := private(dir); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	halves, err := filepath.Glob(filepath.Join(dir, ".*"+suffix+asideSuffix))
	for _, half := range halves {
		err = errors.Join(err, os.Remove(half))
	}
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return newStore(dir), nil
}

func newStore(dir string) *Store {
	return &Store{dir: dir, one: map[string]*sync.Mutex{}, left: map[string]stamp{}}
}

// Understood returns the records in dir, by build, or a *VersionError where a later supervisor than
// this one wrote one of them. It changes nothing, so it may be asked next to a running supervisor.
// A broken file is not its concern.
func Understood(dir string) (map[string]Record, error) {
	all, err := newStore(dir).All()
	var later *VersionError
	if errors.As(err, &later) {
		return nil, later
	}
	return all, nil
}

// Save writes the record of the build called name. When it returns nil the record is on the disk;
// otherwise the one before is.
func (s *Store) Save(name string, r Record) error {
	file, unlock, err := s.lock(name)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	defer unlock()
	r.Version = Version
	b, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = put(file, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save state of %s: %w", name, err)
	}
	if info, err := os.Lstat(file); err == nil { // else it is not intact
		s.mu.Lock()
		s.left[name] = stampOf(info.Sys().(*syscall.Stat_t))
		s.mu.Unlock()
	}
	return nil
}

// put makes b the content of file. A file that holds it already is not written again: at a start
// nothing has changed for most builds, and a file was synced before it got its name.
func put(file string, b []byte) error {
	if holds(file, b) {
		return syncDir(filepath.Dir(file)) // whoever wrote it may have been killed before it came to this
	}
	return writeFile(file, b)
}

// holds reports whether file has the content b and the mode that writeFile gives it.
func holds(file string, b []byte) bool {
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o600 {
		return false
	}
	old, err := os.ReadFile(file)
	return err == nil && bytes.Equal(old, b)
}

// Load returns the record of the build called name, and false where there is none. The error is a
// *VersionError or a *CorruptError where the file cannot be understood; it is left as it is
// (SetAside).
func (s *Store) Load(name string) (Record, bool, error) {
	if !names.MatchString(name) {
		return Record{}, false, fmt.Errorf("load state: %w", badName(name))
	}
	r, err := load(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("load state of %s: %w", name, err)
	}
	return r, true, nil
}

// Names returns the builds of which there is a record, sorted.
func (s *Store) Names() ([]string, error) {
	entries, err := os.ReadDir(s.dir) // which sorts them
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	var all []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && names.MatchString(name) {
			all = append(all, name)
		}
	}
	return all, nil
}

// All returns every record by its build's name. Files that cannot be read are left out; the error,
// joined of theirs, names each, and the others are returned all the same.
func (s *Store) All() (map[string]Record, error) {
	builds, err := s.Names()
	if err != nil {
		return nil, err
	}
	all := map[string]Record{}
	var bad error
	for _, name := range builds {
		r, found, err := s.Load(name)
		if found {
			all[name] = r
		}
		bad = errors.Join(bad, err)
	}
	return all, bad
}

// Intact reports whether the file of the build called name is as Save left it last: nobody has
// removed, written or replaced it since.
func (s *Store) Intact(name string) bool {
	var now syscall.Stat_t // and not os.Lstat, which allocates: all are looked at now and again
	err := syscall.EINTR
	for err == syscall.EINTR {
		err, _ = syscall.Lstat(s.file(name), &now).(syscall.Errno)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left, ok := s.left[name]
	return err == 0 && ok && left == stampOf(&now)
}

// stamp is what the kernel changes whenever a file's contents or mode do.
type stamp struct {
	dev, ino uint64
	size     int64
	changed  syscall.Timespec
}

func stampOf(st *syscall.Stat_t) stamp {
	return stamp{uint64(st.Dev), st.Ino, st.Size, st.Ctim}
}

// Delete forgets the build called name. To delete what is not there is not an error.
func (s *Store) Delete(name string) error {
	file, unlock, err := s.lock(name)
	if err != nil {
		return fmt.Errorf("delete state: %w", err)
	}
	defer unlock()
	err = os.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("delete state of %s: %w", name, err)
	}
	return nil
}

// SetAside renames the file of the build called name to NAME.json.bad, over an earlier one, so that
// the build begins anew and the file can be looked at. It returns the new path.
func (s *Store) SetAside(name string) (string, error) {
	file, unlock, err := s.lock(name)
	if err != nil {
		return "", fmt.Errorf("set state aside: %w", err)
	}
	defer unlock()
	bad := filepath.Join(s.dir, name+badSuffix)
	if err := os.Rename(file, bad); err != nil {
		return "", fmt.Errorf("set state of %s aside: %w", name, err)
	}
	if err := syncDir(s.dir); err != nil {
		return bad, fmt.Errorf("set state of %s aside: %w", name, err)
	}
	return bad, nil
}

// lock keeps other writers of this build's file out.
func (s *Store) lock(name string) (file string, unlock func(), err error) {
	if !names.MatchString(name) {
		return "", nil, badName(name)
	}
	s.mu.Lock()
	one := s.one[name]
	if one == nil {
		one = new(sync.Mutex)
		s.one[name] = one
	}
	s.mu.Unlock()
	one.Lock()
	return s.file(name), one.Unlock, nil
}

func (s *Store) file(name string) string { return filepath.Join(s.dir, name+suffix) }

func badName(name string) error {
	return fmt.Errorf("%q is not the name of a build: want a-z, 0-9 and _", name)
}

func load(file string) (Record, error) {
	f, err := os.Open(file)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return Record{}, err
	}
	return read(file, b)
}
