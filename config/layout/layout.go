package layout

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Root is the folder that a builds.toml names as its root.
type Root string

// Build is the folder of the build called name.
func (r Root) Build(name string) Build { return Build(filepath.Join(string(r), name)) }

// Own is the folder of the supervisor itself. No build can have its name, which begins with a dot.
func (r Root) Own() string { return filepath.Join(string(r), ".supervisor") }

// Control is the socket on which the running supervisor takes commands.
func (r Root) Control() string { return filepath.Join(r.Own(), "control.sock") }

// State is the folder in which supervisor/state keeps what must survive the supervisor.
func (r Root) State() string { return filepath.Join(r.Own(), "state") }

// Events is the file in which events are kept for the next run.
func (r Root) Events() string { return filepath.Join(r.Own(), "events") }

// LastGood is a copy of builds.toml as it was applied last, with what it includes.
func (r Root) LastGood() string { return filepath.Join(r.Own(), "builds.toml") }

// Logs is the folder of the builds' output where log_dir names no other.
func (r Root) Logs() string { return filepath.Join(r.Own(), "logs") }

// MigrationLocks is the folder of the records of running migrations: builds that share a database
// never migrate at the same time.
func (r Root) MigrationLocks() string { return filepath.Join(r.Own(), "migrate") }

// Log is the file in logs, which is Root.Logs or log_dir, that takes the output of the build called
// name.
func Log(logs, name string) string { return filepath.Join(logs, name+".log") }

// Build is the folder of one build.
type Build string

// Dir is the folder itself.
func (b Build) Dir() string { return string(b) }

// Socket is the public socket. It is never absent while the build is meant to serve.
func (b Build) Socket() string { return filepath.Join(string(b), "gunicorn.sock") }

// Staging is the socket on which a release listens until it has passed its check.
func (b Build) Staging() string { return b.Socket() + ".next" }

// Current is the link to the release that serves.
func (b Build) Current() string { return filepath.Join(string(b), "current") }

// CurrentTo is what the link Current holds when it leads to the release id: a path relative to the
// build's folder, so that the link stays right where the root is mounted or moved elsewhere.
func (b Build) CurrentTo(id string) string { return filepath.Join(releases, id) }

const releases = "releases"

// Releases is the folder of all releases.
func (b Build) Releases() string { return filepath.Join(string(b), releases) }

// Release is the folder of the release id.
func (b Build) Release(id string) Release { return Release(filepath.Join(b.Releases(), id)) }

// FailedLog is the log of the last build that did not become a release, where none was made after
// it.
func (b Build) FailedLog() string { return filepath.Join(string(b), "build-failed.log") }

// FailedRecord says what that build was made of, where it must not be repeated unasked.
func (b Build) FailedRecord() string { return filepath.Join(string(b), "build-failed.json") }

// Venvs is the folder of all environments.
func (b Build) Venvs() string { return filepath.Join(string(b), "venvs") }

// Venv is the environment of that hash. Releases whose interpreter and requirements are the same
// share it.
func (b Build) Venv(hash string) string { return filepath.Join(b.Venvs(), hash) }

// Data is the folder that the application may write to and that outlives every release. Its path is
// MEDCTRL_DATA in the application's environment.
func (b Build) Data() string { return filepath.Join(string(b), "data") }

// StaticRecord says which files of a STATIC_ROOT were put there for the build.
func (b Build) StaticRecord() string { return filepath.Join(string(b), "static.json") }

// Run is the folder of what is made anew for every start.
func (b Build) Run() string { return filepath.Join(string(b), "run") }

// Cache is where pip and uv keep what they have downloaded for a build in a sandbox.
func (b Build) Cache() string { return filepath.Join(string(b), "cache") }

const (
	confPrefix = "gunicorn-"
	confSuffix = ".conf.py"
)

// Conf is the generated configuration of a gunicorn with the run settings that runKey stands for.
func (b Build) Conf(runKey string) string {
	return filepath.Join(b.Run(), confPrefix+runKey+confSuffix)
}

// ConfKey returns the runKey of a path that Conf made, and false for any other.
func ConfKey(path string) (runKey string, ok bool) {
	name, ok := strings.CutPrefix(filepath.Base(path), confPrefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, confSuffix)
}

const (
	tempPrefix        = "tmp-"
	tempCommandPrefix = tempPrefix + "of-"
)

// Temp is the folder of the temporary files of generation n, its TMPDIR. The path is short: programs
// make sockets in it.
func (b Build) Temp(n int) string { return filepath.Join(b.Run(), tempPrefix+strconv.Itoa(n)) }

// TempGeneration returns n of a path that Temp made, and false for any other.
func TempGeneration(path string) (n int, ok bool) {
	number, ok := strings.CutPrefix(filepath.Base(path), tempPrefix)
	n, err := strconv.Atoi(number)
	return n, ok && err == nil && n > 0
}

// TempOf is the same for the steps of an attempt, or another command, by an id of its own.
func (b Build) TempOf(id string) string { return filepath.Join(b.Run(), tempCommandPrefix+id) }

// TempCommand returns the id of a path that TempOf made, and false for any other.
func TempCommand(path string) (id string, ok bool) {
	return strings.CutPrefix(filepath.Base(path), tempCommandPrefix)
}

// Release is the folder of one release, finished or not.
type Release string

// Dir is the folder itself.
func (r Release) Dir() string { return string(r) }

// Log is the output of the build's steps.
func (r Release) Log() string { return filepath.Join(string(r), "build.log") }

// Record says what the release was made of. A folder without it is not a release.
func (r Release) Record() string { return filepath.Join(string(r), "release.json") }

// Static is the folder of the static files that were collected into the release. Its name is one
// that no application's folder has.
func (r Release) Static() string { return filepath.Join(string(r), "static-collected") }

// StaticList lists these files.
func (r Release) StaticList() string { return filepath.Join(string(r), "static.json") }
