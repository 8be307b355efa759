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
	"sync/atomic"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// job is one attempt to make a release, one Make.
type job struct {
	Request
	maker *Maker
	b     config.Build
	dir   layout.Build
	as    config.Identity
	env   []string

	findings
	before *Release // the newest there is
	all    []Release

	interpreter []string // folders of the Python

	ignored string // lock of the source that was left behind

	workplace
	started   atomic.Int32 // how many commands were started
	compiling chan error   // result of what compiles concurrently with the other steps
	manager   *manager     // what runs manage.py
	owning    bool         // the build's files go to another user first
	migration
	collecting
}

// workplace is where a release is made, and what has come of it so far.
type workplace struct {
	id    string
	temp  string
	tmp   string // the folder of temporary files, or ""
	log   *os.File
	took  []StepTime
	stale []string // sources without bytecode

	commit  *Commit           // nil: not known
	without map[string]string // files that count and are not in the release, with what stands for them
}

// findings is what a release is made of.
type findings struct {
	python       Interpreter
	reads        *inputs.Reads // what an installation reads
	requirements string        // hash of that
	environment  string        // what stands for the requirements
	venvID, venv string        // of the environment, which may be one of several of these requirements
	damage       string        // why it is not the one before; "": nothing has become of that
	reader       inputs.Reader // whom the source is read for
	source       inputs.Tree
	hash         string // of all of it
	because      []string
}

// step is one step of a build.
type step struct {
	name string
	run  func(*job, context.Context) (skipped bool, err error)
}

// begin, and then compile and what managing returns, in the order that compilesFirst says.
var (
	begin = []step{
		{"settings", (*job).stepSettings},
		{"copy", (*job).stepCopy},
		{"environment", (*job).stepEnvironment},
		{"install", (*job).stepInstall},
	}
	compile = []step{{"compile", (*job).stepCompile}}
)

// ownerStep comes before manage where the build's user or group has changed.
var ownerStep = step{"owner", (*job).stepOwner}

// make runs the steps in a folder of its own and gives that its name when all went well.
func (j *job) make(ctx context.Context) (rel Release, err error) {
	steps, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		if err != nil {
			j.stopAll()
			err = diskFull(err, j.Root) // before anything is removed
			if step := (*StepError)(nil); j.final() && !errors.As(err, &step) {
				err = &StepError{Build: j.b.Name, Step: "finish", Err: err, Log: j.dir.FailedLog(), Final: true}
			}
			if ctx.Err() == nil {
				j.remember(err)
			}
			j.abandon(err)
		}
		j.log.Close() // what matters of it was synced; it may not be open at all
		j.dropTemp()
	}()
	preparing := j.patience.watch("making the folders of " + j.dir.Dir())
	defer preparing()
	if err := j.folders(); err != nil {
		return rel, err
	}
	j.owning = j.ownerChanged() || j.ranAsOther()
	using, err := useEnvironments(j.dir)
	if err != nil {
		return rel, err
	}
	defer using.Close() // gives its lock back
	if err := j.claim(); err != nil {
		return rel, err
	}
	if err := j.forget(); err != nil {
		return rel, err
	}
	preparing()
	if err := j.steps(steps, begin); err != nil {
		return rel, err
	}
	if j.compilesFirst() {
		err = j.steps(steps, compile, j.managing())
	} else {
		j.startCompiling(steps)
		err = j.steps(steps, j.managing(), compile)
	}
	if err != nil {
		return rel, err
	}
	return j.finish(steps)
}

// folders makes what every build has. Those of releases and environments let everyone pass to what
// is in them, which has a mode of its own: so they need not change hands when the build gets
// another user.
func (j *job) folders() error {
	if err := os.MkdirAll(filepath.Dir(j.Root), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	root := fs.FileMode(0o755)
	if _, err := os.Stat(j.Root); err == nil {
		root = 0o700 // somebody made it: who else may pass is theirs to say
	}
	us := os.Geteuid()
	for _, f := range []struct {
		path string
		mode fs.FileMode
		uid  int
	}{
		{j.Root, root, -1},
		{j.dir.Dir(), FolderMode, us}, // Nginx reaches the socket through it
		{j.dir.Releases(), FolderMode, us},
		{j.dir.Venvs(), FolderMode, us},
	} {
		if err := MakeFolder(f.path, f.mode, f.uid, -1); err != nil {
			return err
		}
	}
	if err := MakeData(j.dir.Data(), j.as); err != nil {
		return err
	}
	return j.makeCache()
}

// claim makes the folder in which the release is prepared, and its log.
func (j *job) claim() error {
	taken, err := names(j.dir)
	if err != nil {
		return err
	}
	j.id = nextID(time.Now(), j.hash, taken)
	temp := unfinished(j.dir.Release(j.id).Dir())
	if err := MakeFolder(temp, 0o750, -1, -1); err != nil {
		return err
	}
	j.temp = temp
	if err := j.makeTemp(j.id); err != nil {
		return err
	}
	j.log, err = os.OpenFile(layout.Release(j.temp).Log(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err == nil {
		err = j.log.Chmod(0o640) // whatever our umask
	}
	if err != nil {
		return fmt.Errorf("open build log: %w", err)
	}
	return nil
}

func (j *job) steps(ctx context.Context, groups ...[]step) error {
	for _, group := range groups {
		for _, s := range group {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := j.step(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *job) step(ctx context.Context, s step) error {
	p := Progress{Step: s.name, N: len(j.took) + 1, Of: len(begin) + len(j.managing()) + len(compile)}
	j.say(p)
	begun := time.Now()
	_, err := fmt.Fprintf(j.log, "== %s (%d of %d) %s\n", s.name, p.N, p.Of, begun.UTC().Format(time.RFC3339))
	offset, serr := j.log.Seek(0, io.SeekEnd)
	if err = errors.Join(err, serr); err == nil {
		waited := j.patience.watch("build step " + s.name)
		limited, cancel := context.WithTimeoutCause(ctx, j.b.StepTimeout,
			fmt.Errorf("ended because it took longer than step_timeout, %v", j.b.StepTimeout))
		p.Skipped, err = s.run(j, limited)
		cancel()
		waited()
	}
	p.Elapsed, p.Done = time.Since(begun), true
	if err != nil {
		err = j.shown(err)
		lines := tail(j.log, offset)
		for i, line := range lines {
			lines[i] = j.inSource(line)
		}
		fmt.Fprintf(j.log, "== %s failed: %v\n", s.name, err) // where the disk is full the error says so
		return &StepError{Build: j.b.Name, Step: s.name, Err: err, Tail: lines, Log: j.dir.FailedLog(),
			Final: j.final(), Own: !j.migrating || j.stage == stageRefused}
	}
	j.took = append(j.took, StepTime{Name: s.name, Took: p.Elapsed, Skipped: p.Skipped})
	j.say(p)
	return nil
}

func (j *job) say(p Progress) {
	if j.Progress != nil {
		j.Progress(p)
	}
}

// finish writes the record, brings everything to the disk and gives the release its name: from then
// on it is complete.
func (j *job) finish(ctx context.Context) (Release, error) {
	defer j.patience.watch("bringing the release to the disk")()
	gone := j.dismiss()
	rel := Release{ID: j.id, Hash: j.hash, VenvID: j.venvID, Created: time.Now().UTC(), Steps: j.took, RanAs: ownerOfAll(j.as).String()}
	if j.environment != j.venvID {
		rel.Environment = j.environment
	}
	rel.StaticRoot, rel.Interpreter = j.staticRoot, j.interpreter
	rel.Commit, rel.By, rel.Because = j.commit, j.By, j.because
	text, err := json.MarshalIndent(rel, "", "  ")
	if err == nil {
		err = os.RemoveAll(layout.Release(j.temp).Record()) // what a step may have put there
	}
	if err == nil {
		err = writeNew(layout.Release(j.temp).Record(), append(text, '\n'), 0o640)
	}
	if err != nil {
		return rel, fmt.Errorf("write record of the release: %w", err)
	}
	if err := writeManifest(j.temp, manifest{j.b.AppDir, j.source, j.ingredients()}); err != nil {
		return rel, err
	}
	limited, cancel := context.WithTimeout(ctx, afterWork)
	gone(limited) // what it left behind would not end with the release
	cancel()
	if err := j.listStatic(ctx); err != nil {
		return rel, err
	}
	if err := seal(j.temp, j.as.GID, j.as.UID); err != nil {
		return rel, err
	}
	if err := syncTree(j.temp); err != nil {
		return rel, err
	}
	if err := os.Remove(j.dir.FailedLog()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rel, fmt.Errorf("remove the log of a build before: %w", err)
	}
	rel.Dir, rel.Venv = j.dir.Release(j.id).Dir(), j.venv
	if err := os.Rename(j.temp, rel.Dir); err != nil {
		return rel, fmt.Errorf("name the release: %w", err)
	}
	return rel, syncOne(filepath.Dir(rel.Dir))
}

// stopAll ends what is still running of an attempt that failed.
func (j *job) stopAll() {
	if j.temp == "" {
		return // nothing was started
	}
	if j.compiling != nil {
		<-j.compiling // its context has ended
	}
	if m := j.manager; m != nil {
		end(m.process)
		m.conn.Close() // nothing was written that could be lost
	}
}

// abandon keeps the log of a failed attempt and removes the rest.
func (j *job) abandon(why error) {
	if j.temp == "" {
		return
	}
	if !errors.Is(why, errSame) {
		err := os.Rename(layout.Release(j.temp).Log(), j.dir.FailedLog())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			j.maker.Log.Warn("log of the failed build is lost", "build", j.b.Name, "error", err)
		}
	}
	if err := os.RemoveAll(j.temp); err != nil {
		j.maker.Log.Warn("half a release stays until the next start", "build", j.b.Name, "error", err)
	}
	if !complete(j.venv) {
		if err := removeEnvironment(j.venv); err != nil {
			j.maker.Log.Warn("half an environment stays until the next build", "build", j.b.Name, "error", err)
		}
	}
}
