package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// start starts a command of the current step with the build's environment, user and umask.
func (j *job) start(c Command) (*command, error) {
	c.Env = append(j.stepEnv(), c.Env...)
	c.User, c.Umask = credential(j.as), j.b.Umask
	c.NewPrivs, c.Capable = !j.b.NoNewPrivs, !j.b.NoNewPrivs || j.as.Capable
	if c.Box = j.box(c.Box); c.Box != nil {
		c.Env = withCache(c.Env, j.dir)
	}
	p, err := j.startMarked(c)
	if err != nil {
		if why := MayNotEnter(c.Dir, j.as); why != nil {
			return nil, why
		}
	}
	return p, err
}

// stepEnv is the environment of every step that runs as the build's user.
func (j *job) stepEnv() []string {
	return slices.Concat(j.env, j.tempEnv(j.env), inputs.StandingEnv(j.b, j.dir.Data()), []string{"VIRTUAL_ENV=" + j.venv, "MEDCTRL_RELEASE=" + j.id})
}

// startMarked starts a command that writes to the build's log. Its mark begins with the folder in
// which the release is prepared, so that it is found by Tidy and never taken for what serves the
// release later.
func (j *job) startMarked(c Command) (*command, error) {
	out, err := newOutput(j.log, j.secrets())
	if err != nil {
		return nil, err
	}
	c.Stdout, c.Limits = out.file, j.b.Limits
	c.Mark = j.temp + "/" + strconv.Itoa(int(j.started.Add(1)))
	p, err := j.maker.Runner.Start(c)
	if err != nil {
		_ = out.finish() // there is nothing in it
		return nil, err
	}
	return &command{p, out}, nil
}

// exec runs a command of the current step to its end, or until ctx ends.
func (j *job) exec(ctx context.Context, c Command) error {
	p, err := j.start(c)
	if err != nil {
		return err
	}
	return p.Wait(ctx, afterTerm)
}

func (j *job) app() string        { return filepath.Join(j.temp, appFolder(j.b.AppDir)) }
func (j *job) venvPython() string { return filepath.Join(j.venv, "bin", "python") }

func (j *job) stepSettings(context.Context) (bool, error) {
	wrong := settingsErrors(j.b)
	if len(wrong) > 0 {
		if wrong[0].Line > 0 { // else the file could not be read, which may pass
			j.stage = stageOwn
		}
		return false, wrong
	}
	if usable(j.venv) {
		return false, nil // the step install knows
	}
	missing, sure := j.gunicornMissing(j.python.installed())
	if sure {
		if !j.b.SystemSitePackages { // else installing it there changes no input
			j.stage = stageOwn
		}
		return false, missing
	}
	return false, nil
}

// settingsErrors returns what is wrong with the settings of b as its source has them.
func settingsErrors(b config.Build) config.Errors {
	return append(config.CheckSettings(b), inputs.Placeholders(b)...)
}

// copies is how often the copy of a source that changes meanwhile is tried, and copyPause is the
// pause between two tries.
const (
	copies    = 5
	copyPause = 50 * time.Millisecond
)

func (j *job) stepCopy(ctx context.Context) (bool, error) {
	checkout := j.findCheckout()
	head := checkout.head(ctx)
	if err := j.copyApp(ctx); err != nil {
		return false, err
	}
	if err := j.reads.CopyFiles(j.temp, j.as); err != nil {
		return false, err
	}
	if err := j.sameRequirements(ctx); err != nil {
		return false, err // errChanged: it needs another environment
	}
	// Of what was really copied.
	var err error
	if j.hash, err = inputs.Identity(j.b, j.app(), j.source, j.requirements, j.venvID); err != nil {
		return false, err
	}
	if _, ok := j.same(); ok {
		return false, errSame
	}
	copied := j.b
	copied.Source, copied.AppDir = j.temp, appFolder(j.b.AppDir)
	if len(settingsErrors(copied)) > 0 {
		return false, errChanged // since they were checked; then the settings step says what is wrong
	}
	if err := j.leaveOutOthers(); err != nil {
		return false, err
	}
	j.commit = checkout.commit(ctx, head)
	before := ""
	if j.before != nil && j.before.VenvID == j.venvID {
		before = j.before.Dir
	}
	j.stale = reuseBytecode(j.app(), j.source, before)
	// The steps run as the build's user and must be able to read it.
	return false, seal(j.temp, j.as.GID, j.as.UID)
}

// copyApp copies the application until what it copied is what is there.
func (j *job) copyApp(ctx context.Context) error {
	var unsettled []string // keys of what changed during each copy so far
	for try := 1; ; try++ {
		app, err := inputs.Resolved(j.b)
		if err != nil {
			return err
		}
		var out leftOut
		copied, err := inputs.CopyTree(ctx, app, j.app(), j.reader, out.add, j.shared()...)
		if err == nil {
			var now inputs.Tree
			now, err = j.maker.hashes.ReadTree(ctx, app, j.reader, j.shared()...)
			if err == nil {
				err = j.settled(copied.Changed(app, now))
			}
		}
		if lock := heldLock(j.b); lock != "" && lock != j.ignored {
			return errBeingWritten
		}
		if err == nil {
			j.source = copied
			if closed := copied.Closed(); len(closed) > 0 {
				remark := inputs.RemarkClosed(closed, j.as)
				j.remark(remark)
				fmt.Fprintln(j.log, remark) // where the disk is full the next line says so
			}
			_, err = fmt.Fprint(j.log, out.String())
			return err
		}
		var changed *changedError
		if !errors.As(err, &changed) {
			return err
		}
		now := changed.keys()
		if try > 1 {
			now = slices.DeleteFunc(now, func(key string) bool { return !slices.Contains(unsettled, key) })
		}
		if unsettled = now; try == copies {
			j.maker.unsettled.found(unsettled)
			return err
		}
		timer := time.NewTimer(copyPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		if err := os.RemoveAll(j.app()); err != nil {
			return fmt.Errorf("copy again: %w", err)
		}
	}
}

// settled returns an error that names the files which changed during a copy, unless these do so
// without a pause.
func (j *job) settled(changed []inputs.ChangedFile) error {
	if len(changed) == 0 {
		return nil
	}
	if !j.maker.unsettled.all(changed) {
		return &changedError{changed}
	}
	remark := remarkUnsettled(changed)
	j.remark(remark)
	_, err := fmt.Fprintln(j.log, remark)
	return err
}

func (e *changedError) keys() (all []string) {
	for _, f := range e.files {
		all = append(all, f.Keys()...)
	}
	return all
}

func (j *job) stepEnvironment(ctx context.Context) (bool, error) {
	if usable(j.venv) {
		return true, nil
	}
	return false, j.makeEnvironment(ctx)
}

func (j *job) stepInstall(ctx context.Context) (bool, error) {
	if usable(j.venv) {
		return true, j.needGunicorn()
	}
	if err := j.install(ctx); err != nil {
		return false, err
	}
	return false, j.needGunicorn()
}

// fewStale is up to how many files are compiled concurrently with check and migrate, which compile
// these few for themselves in the meantime. More than that are compiled first: compiling a whole
// application twice at once would take longer.
const fewStale = 40

func (j *job) compilesFirst() bool { return len(j.stale) > fewStale }

// startCompiling compiles concurrently with the steps that follow.
func (j *job) startCompiling(ctx context.Context) {
	if len(j.stale) == 0 {
		return
	}
	result := make(chan error, 1)
	j.compiling = result
	go func() {
		limited, cancel := context.WithTimeout(ctx, j.b.StepTimeout)
		defer cancel()
		result <- j.compile(limited)
		close(result)
	}()
}

func (j *job) stepCompile(ctx context.Context) (skipped bool, err error) {
	switch {
	case j.compiling != nil:
		err = <-j.compiling
	case len(j.stale) > 0:
		err = j.compile(ctx)
	default:
		return true, nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		fmt.Fprintf(j.log, "not everything could be compiled: %v\n", err) // it is a remark
	}
	return false, nil
}

// compile compiles what is not compiled, as ourselves: the application must not be able to write
// its bytecode. So it must run nothing that the build's user could change: neither the
// environment's interpreter nor the .pth files there (site(3) runs lines of theirs, hence -S). A
// file that does not compile, a template for another Python say, matters only when it is imported.
func (j *job) compile(ctx context.Context) error {
	python, err := j.compiler()
	if err != nil {
		return err
	}
	p, err := j.startMarked(Command{
		Argv: append([]string{python, "-I", "-S", "-m", "compileall", "-q"}, compileArguments(j.stale)...),
		Dir:  j.app(), Env: j.env, Umask: 0o027, Box: j.compileBox(),
		Capable: true, // folders of the source may be read-only
	})
	if err != nil {
		return err
	}
	return p.Wait(ctx, afterTerm)
}

func (j *job) stepCheck(ctx context.Context) (bool, error) {
	if !j.b.Check {
		return true, nil
	}
	return false, j.manage(ctx, "check", "--deploy")
}

func (j *job) stepMigrate(ctx context.Context) (bool, error) {
	if !j.b.Migrate {
		return true, nil
	}
	if j.b.Elsewhere.Host != "" {
		return false, j.awaitMigration(ctx)
	}
	return false, j.migrate(ctx)
}

// needGunicorn refuses an environment in which nothing could serve.
func (j *job) needGunicorn() error {
	if len(j.b.Command) > 0 || hasGunicorn(j.venv) {
		return nil
	}
	return noGunicorn(j.b)
}
