package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// Release is a finished result of building, a folder that does not change.
type Release struct {
	ID     string `json:"id"` // sorts by time
	Dir    string `json:"-"`
	Hash   string `json:"hash"` // of everything that went into it
	Venv   string `json:"-"`
	VenvID string `json:"venv"`
	// Environment is what VenvID would be, had the environment not been made anew.
	Environment string     `json:"environment,omitempty"`
	Created     time.Time  `json:"created"`
	Steps       []StepTime `json:"steps"`
	RanAs       string     `json:"ran_as,omitempty"` // the user and group of its steps, as UID:GID
	// StaticRoot is where its static files are to be while it serves; "" where it has none, or has
	// them in itself.
	StaticRoot string `json:"static_root,omitempty"`
	// Interpreter are the folders of the Python that its environment is of.
	Interpreter []string `json:"interpreter,omitempty"`
	// Commit is what the source's checkout was at; nil: it is none, or that could not be told.
	Commit *Commit `json:"commit,omitempty"`
	// By is the person who asked for it, "" where an edit did.
	By string `json:"by,omitempty"`
	// Because says what had changed since the release before.
	Because []string `json:"because,omitempty"`
}

// StepTime is how long a step of a build took.
type StepTime struct {
	Name    string        `json:"name"`
	Took    time.Duration `json:"took_ns"`
	Skipped bool          `json:"skipped,omitempty"`
}

// Python is the interpreter of the release's environment.
func (r Release) Python() string { return filepath.Join(r.Venv, "bin", "python") }

// App is the Django project in the release.
func (r Release) App(b config.Build) string { return filepath.Join(r.Dir, appFolder(b.AppDir)) }

// appFolder is where an application lies in a release. One that is the source itself gets a folder
// too: its files may be named like ours.
func appFolder(appDir string) string {
	if filepath.Clean(appDir) == "." {
		return "app"
	}
	return appDir
}

const (
	// tempPrefix begins the names of what is not finished. Only that, and what has a record of
	// ours, is ever removed.
	tempPrefix = ".tmp-"
	oldPrefix  = "old-" // after it, for what is being removed
)

// unfinished is the name next to path of what becomes path when it is finished.
func unfinished(path string) string {
	return filepath.Join(filepath.Dir(path), tempPrefix+filepath.Base(path))
}

func folderOf(root, name string) layout.Build { return layout.Root(root).Build(name) }

var releaseID = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$`)

// List returns the complete releases of a build, oldest first.
func List(root, name string) ([]Release, error) {
	entries, err := os.ReadDir(folderOf(root, name).Releases()) // sorted, so by time
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list releases of %s: %w", name, err)
	}
	var all []Release
	for _, e := range entries {
		if !releaseID.MatchString(e.Name()) {
			continue
		}
		if r, err := Get(root, name, e.Name()); err == nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// Get returns one complete release. A folder without a record of ours is none.
func Get(root, name, id string) (Release, error) {
	if !releaseID.MatchString(id) {
		return Release{}, fmt.Errorf("release %q of %s: that is no release's name", id, name)
	}
	dir := folderOf(root, name).Release(id)
	text, err := untrusted.ReadBelow(dir.Dir(), filepath.Base(dir.Record()), inputs.MostText)
	if err != nil {
		return Release{}, fmt.Errorf("read release %s of %s: %w", id, name, err)
	}
	var r Release
	if err := json.Unmarshal(text, &r); err != nil {
		return Release{}, fmt.Errorf("read release %s of %s: %w", id, name, err)
	}
	if r.ID != id || !venvID.MatchString(r.VenvID) {
		return Release{}, fmt.Errorf("read release %s of %s: its record is of another", id, name)
	}
	r.Dir, r.Venv = dir.Dir(), folderOf(root, name).Venv(r.VenvID)
	if !complete(r.Venv) {
		return Release{}, fmt.Errorf("release %s of %s: its environment %s: %w", id, name, r.Venv, fs.ErrNotExist)
	}
	return r, nil
}

// nextID is an identity later than every one in taken, also where the clock was set back or two
// builds end in one second.
func nextID(now time.Time, hash string, taken []string) string {
	const form = "20060102T150405"
	now = now.UTC().Truncate(time.Second)
	for _, id := range taken {
		if t, err := time.Parse(form, id[:len(form)]); err == nil && !now.After(t) {
			now = t.Add(time.Second)
		}
	}
	return now.Format(form) + "-" + hash[:6]
}

// names returns all identities that folders of a build have: of releases, and of what is not one
// yet or is being removed.
func names(dir layout.Build) ([]string, error) {
	entries, err := os.ReadDir(dir.Releases())
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	var all []string
	for _, e := range entries {
		id := strings.TrimPrefix(strings.TrimPrefix(e.Name(), tempPrefix), oldPrefix)
		if releaseID.MatchString(id) {
			all = append(all, id)
		}
	}
	return all, nil
}

// SetCurrent makes root/NAME/current lead to a release, in one step.
func SetCurrent(root, name, id string) error {
	dir := folderOf(root, name)
	link, to := dir.Current(), dir.CurrentTo(id)
	if now, err := os.Readlink(link); err == nil && now == to {
		return nil
	}
	temp := unfinished(link)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link current release: %w", err)
	}
	if err := os.Symlink(to, temp); err != nil {
		return fmt.Errorf("link current release: %w", err)
	}
	if err := os.Rename(temp, link); err != nil {
		os.Remove(temp) // the error counts
		return fmt.Errorf("link current release: %w", err)
	}
	return nil
}
