package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Options are what a Maker is given once.
type Options struct {
	Log      hclog.Logger
	Environ  []string // our own environment, as os.Environ has it
	Parallel int      // builds that may run at once, at least 1
}

// Maker makes releases. Its methods may be called from many goroutines, Make
// from one at a time for each build.
type Maker struct {
	Options
	slots        slots
	interpreters interpreters
}

// New makes a Maker.
func New(o Options) *Maker {
	m := &Maker{Options: o}
	m.slots.setLimit(o.Parallel)
	return m
}

// SetParallel changes how many builds may run at once. Those that run go on.
func (m *Maker) SetParallel(n int) { m.slots.setLimit(n) }

// Request is one build to make.
type Request struct {
	Root  string // absolute; the build lives in Root/NAME
	Build config.Build
	Force bool // a new release even of the same inputs

	// Progress, where given, is called from Make's goroutine as steps begin and
	// end.
	Progress func(Progress)
	// Irreversible, where given, is called once just before what cannot be taken
	// back (migrate). Cancelling after it may leave the database half migrated.
	Irreversible func()
}

// Progress is how far a build is.
type Progress struct {
	Step    string
	N, Of   int
	Elapsed time.Duration // of the step
	Done    bool
	Skipped bool
}

// steps in their order, which is that of the design, but that compiling comes
// before what runs the application: it then loads bytecode.
var steps = []struct {
	name string
	run  func(*job, context.Context) (skipped bool, err error)
}{
	{"settings", (*job).stepSettings},
	{"copy", (*job).stepCopy},
	{"environment", (*job).stepEnvironment},
	{"install", (*job).stepInstall},
	{"compile", (*job).stepCompile},
	{"check", (*job).stepCheck},
	{"migrate", (*job).stepMigrate},
	{"collectstatic", (*job).stepCollectStatic},
}

// Make makes a release of the inputs as they are now. Where a complete release
// of the very same inputs is there it answers that one, not fresh, and runs
// nothing. A failed step comes back as *StepError; a cancelled ctx as its error.
func (m *Maker) Make(ctx context.Context, r Request) (rel Release, fresh bool, err error) {
	j := &job{maker: m, Request: r, b: r.Build, dir: filepath.Join(r.Root, r.Build.Name)}
	if err := j.prepare(ctx); err != nil {
		return Release{}, false, err
	}
	if same, ok := j.same(); ok && !r.Force {
		return same, false, nil
	}
	if err := m.slots.take(ctx); err != nil {
		return Release{}, false, err
	}
	defer m.slots.give()
	rel, err = j.make(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return rel, err == nil, err
}

// job is one Make.
type job struct {
	Request
	maker *Maker
	b     config.Build
	dir   string // root/NAME
	as    config.Identity
	env   []string

	python       interpreter
	requirements string
	venvID, venv string
	source       tree
	hash         string
	before       *Release // the newest there is
	all          []Release

	id   string
	temp string
	log  *os.File
	took []StepTime
}

// prepare finds out what would be built, without changing anything.
func (j *job) prepare(ctx context.Context) (err error) {
	if j.as, err = config.IdentityOf(j.b); err != nil {
		return err
	}
	if j.env, err = config.Environ(j.b, j.maker.Environ); err != nil {
		return err
	}
	if j.python, err = j.maker.interpreters.look(ctx, j.b.Python, j.env); err != nil {
		return err
	}
	if j.requirements, err = readRequirements(j.b); err != nil {
		return err
	}
	j.venvID = environmentID(j.python, j.requirements, j.b)
	j.venv = filepath.Join(j.dir, venvsDir, j.venvID)
	if j.source, err = readTree(ctx, j.b); err != nil {
		return err
	}
	if j.hash, err = identity(j.b, j.source, j.requirements, j.venvID); err != nil {
		return err
	}
	if j.all, err = List(j.Root, j.b.Name); err != nil {
		return err
	}
	if len(j.all) > 0 {
		j.before = &j.all[len(j.all)-1]
	}
	return nil
}

// same answers the newest release of the same inputs.
func (j *job) same() (Release, bool) {
	for i := len(j.all) - 1; i >= 0; i-- {
		if j.all[i].Hash == j.hash {
			return j.all[i], true
		}
	}
	return Release{}, false
}

// make runs the steps in a folder of its own and names it when all went well.
func (j *job) make(ctx context.Context) (rel Release, err error) {
	if err := j.folders(); err != nil {
		return rel, err
	}
	last := ""
	if j.before != nil {
		last = j.before.ID
	}
	j.id = nextID(time.Now(), j.hash, last)
	j.temp = filepath.Join(j.dir, releasesDir, tempPrefix+j.id)
	if err := os.Mkdir(j.temp, 0o750); err != nil {
		return rel, fmt.Errorf("make folder for the release: %w", err)
	}
	defer func() {
		if err != nil {
			j.abandon()
		}
	}()
	if j.log, err = os.OpenFile(filepath.Join(j.temp, logFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640); err != nil {
		return rel, fmt.Errorf("open build log: %w", err)
	}
	defer j.log.Close() // what matters of it is synced below
	for n, step := range steps {
		if err := ctx.Err(); err != nil {
			return rel, err
		}
		if err := j.step(ctx, n, step.name, step.run); err != nil {
			return rel, err
		}
	}
	return j.finish()
}

// folders makes what every build has.
func (j *job) folders() error {
	data := filepath.Join(j.dir, "data")
	for _, f := range []struct {
		path     string
		mode     fs.FileMode
		uid, gid int
	}{
		{j.Root, 0o755, -1, -1},
		{j.dir, 0o755, -1, -1}, // Nginx reaches the socket through it
		{filepath.Join(j.dir, releasesDir), 0o750, -1, j.as.GID},
		{data, 0o750, j.as.UID, j.as.GID},
	} {
		if err := makeFolder(f.path, f.mode, f.uid, f.gid); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder, whatever our umask. One that is there stays as it
// is.
func makeFolder(path string, mode fs.FileMode, uid, gid int) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err == nil && (uid >= 0 || gid >= 0) {
		err = os.Chown(path, uid, gid)
	}
	if err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}

func (j *job) step(ctx context.Context, n int, name string, run func(*job, context.Context) (bool, error)) error {
	p := Progress{Step: name, N: n + 1, Of: len(steps)}
	j.say(p)
	begun := time.Now()
	_, err := fmt.Fprintf(j.log, "== %s (%d of %d) %s\n", name, p.N, p.Of, begun.UTC().Format(time.RFC3339))
	var offset int64
	if err == nil {
		offset, err = j.log.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return fmt.Errorf("write build log: %w", err)
	}
	p.Skipped, err = run(j, ctx)
	p.Elapsed, p.Done = time.Since(begun), true
	if err != nil {
		lines := tail(j.log, offset)
		fmt.Fprintf(j.log, "== %s failed: %v\n", name, err) // where the disk is full the error says so
		return &StepError{Build: j.b.Name, Step: name, Err: err, Tail: lines, Log: filepath.Join(j.dir, failedLog)}
	}
	j.took = append(j.took, StepTime{Name: name, Took: p.Elapsed, Skipped: p.Skipped})
	j.say(p)
	return nil
}

func (j *job) say(p Progress) {
	if j.Progress != nil {
		j.Progress(p)
	}
}

// finish writes the record, brings everything to the disk and gives the
// release its name: from then on it is complete.
func (j *job) finish() (Release, error) {
	rel := Release{ID: j.id, Hash: j.hash, VenvID: j.venvID, Created: time.Now().UTC(), Steps: j.took}
	text, err := json.MarshalIndent(rel, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(j.temp, recordFile), append(text, '\n'), 0o640)
	}
	if err != nil {
		return rel, fmt.Errorf("write record of the release: %w", err)
	}
	if err := writeManifest(j.temp, j.b.AppDir, j.source); err != nil {
		return rel, err
	}
	if err := seal(j.temp, j.as.GID); err != nil {
		return rel, err
	}
	if err := syncTree(j.temp); err != nil {
		return rel, err
	}
	rel.Dir, rel.Venv = filepath.Join(j.dir, releasesDir, j.id), j.venv
	if err := os.Rename(j.temp, rel.Dir); err != nil {
		return rel, fmt.Errorf("name the release: %w", err)
	}
	return rel, syncTree(filepath.Dir(rel.Dir))
}

// abandon keeps the log of a failed build and removes the rest.
func (j *job) abandon() {
	if err := os.Rename(filepath.Join(j.temp, logFile), filepath.Join(j.dir, failedLog)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.maker.Log.Warn("log of the failed build is lost", "build", j.b.Name, "error", err)
	}
	if err := os.RemoveAll(j.temp); err != nil {
		j.maker.Log.Warn("half a release stays until the next start", "build", j.b.Name, "error", err)
	}
	if j.venv != "" && !complete(j.venv) {
		if err := os.RemoveAll(j.venv); err != nil {
			j.maker.Log.Warn("half an environment stays until the next build", "build", j.b.Name, "error", err)
		}
	}
}

// fewFiles is up to how many files one is synced at a time; beyond it the
// whole file system is cheaper, though others write to it as well.
const fewFiles = 300

// syncTree brings what is in dir to the disk: of a release's folder everything
// below it, of another its own entries.
func syncTree(dir string) error {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || len(files) > fewFiles {
			return err
		}
		if d.IsDir() && path != dir && filepath.Base(dir) != releasesDir && filepath.Base(dir) != venvsDir || path == dir || d.Type().IsRegular() {
			files = append(files, path)
		} else if d.IsDir() {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bring %s to the disk: %w", dir, err)
	}
	if len(files) > fewFiles {
		return syncAll(dir)
	}
	for i := len(files) - 1; i >= 0; i-- {
		if err := syncOne(files[i]); err != nil {
			return err
		}
	}
	return nil
}

func syncOne(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bring %s to the disk: %w", path, err)
	}
	defer f.Close() // nothing was written through it
	if err := f.Sync(); err != nil {
		return fmt.Errorf("bring %s to the disk: %w", path, err)
	}
	return nil
}

// syncAll is syncfs(2).
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("bring %s to the disk: %w", dir, err)
	}
	defer f.Close() // nothing was written through it
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("bring %s to the disk: %w", dir, err)
	}
	return nil
}
