package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/build/statics"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Options are what a Maker is given once.
type Options struct {
	Runner   Runner       // required
	Log      hclog.Logger // nil: nothing is logged
	Environ  []string     // our own environment, as os.Environ has it
	Parallel int          // builds that may run at once, at least 1

	Known Interpreters // from the start; nil: none
}

// Maker makes releases. Its methods may be called from many goroutines, Make from one at a time for
// each build.
type Maker struct {
	Options
	slots        slots
	looks        slots // for Check
	interpreters interpreters
	hashes       *inputs.Hashes
	unsettled    unsettled
	pipConf      []string // pip's settings for everybody on this machine, there or not
	collectors   collectors
	databases    databases
	attempts     attempts
	statics      *statics.Publisher
}

// New makes a Maker.
func New(o Options) *Maker {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	m := &Maker{Options: o, hashes: inputs.NewHashes(), interpreters: interpreters{runner: o.Runner, said: maps.Clone(o.Known)},
		pipConf: []string{"/etc/pip.conf", "/etc/xdg/pip/pip.conf"}, statics: statics.New(o.Log)}
	m.SetParallel(o.Parallel)
	return m
}

// SetParallel changes how many attempts, and how many checks in addition, may run at once. Those
// that are running continue.
func (m *Maker) SetParallel(n int) {
	m.slots.setLimit(n)
	m.looks.setLimit(n)
}

// Request is one build to make.
type Request struct {
	Root  string // absolute; the build lives in Root/NAME
	Build config.Build
	Force bool   // a new release even of the same inputs
	Fresh bool   // and in a new environment
	By    string // the person who asks for it; "" if nobody does

	// Because, where given, is called with what has changed since the release before, when a new
	// one is about to be made.
	Because func(what []string)
	// Progress, where given, is called from Make's goroutine as steps begin and end.
	Progress func(Progress)
	// Remark, where given, is called with what people should know although a release can be made.
	Remark func(text string)
	// Irreversible, where given, is called once just before what cannot be taken back (migrate),
	// with the locks of the databases held. Cancelling after it may leave a database half migrated.
	Irreversible func()

	patience *patience // how long the attempt is waited for; nil: until its end
}

// Progress is how far a build is.
type Progress struct {
	Step    string
	N, Of   int           // zero: no step has begun, and Step says what is waited for
	Elapsed time.Duration // of the step
	Done    bool
	Skipped bool
}

// errChanged says that inputs changed after the attempt had used them.
var errChanged = errors.New("the inputs change faster than they can be built")

// changedError is errChanged with the files that did.
type changedError struct{ files []inputs.ChangedFile }

func (e *changedError) Error() string {
	f := e.files[0]
	return fmt.Sprintf("%v: %s %s during each of %d copies. Is your application, an editor or another program writing into the source? "+
		"What the application writes belongs under MEDCTRL_DATA (working_dir = \"{data}\" for relative paths)", errChanged, f.Path, f.What, copies)
}

func (e *changedError) Is(target error) bool { return target == errChanged }

// errSame says that a release of exactly what was copied exists already.
var errSame = errors.New("the inputs are those of a release that is there")

// restarts is how often an attempt whose inputs changed meanwhile begins again.
const restarts = 3

// makeWhole is Make for as long as it takes. While the source is being written it waits.
func (m *Maker) makeWhole(ctx context.Context, r Request) (rel Release, fresh bool, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	for {
		ignored, err := m.untilWritten(ctx, r)
		if err != nil {
			return Release{}, false, err
		}
		rel, fresh, err = m.makeOnce(ctx, r, ignored)
		if err == nil || ctx.Err() != nil || !halfSource(err) {
			return rel, fresh, err
		}
		if lock := heldLock(r.Build); !errors.Is(err, errBeingWritten) && (lock == "" || lock == ignored) {
			return rel, fresh, err
		}
		// It failed because the source was half-written: once more, when it is whole.
	}
}

// halfSource reports whether an attempt that failed had gone no further than to look at its source.
func halfSource(err error) bool {
	var step *StepError
	return !errors.As(err, &step) || step.Step == "settings" || step.Step == "copy"
}

// makeOnce is Make of the source as it is. If a lock other than ignored comes, it is errBeingWritten.
func (m *Maker) makeOnce(ctx context.Context, r Request, ignored string) (rel Release, fresh bool, err error) {
	if err := m.makeRoom(folderOf(r.Root, r.Build.Name)); err != nil {
		return Release{}, false, err
	}
	j, err := m.prepareIn(ctx, r)
	if err != nil {
		return Release{}, false, err
	}
	if rel, ok := j.same(); ok {
		return rel, false, j.ownOnly(ctx)
	}
	if err := j.failedFinally(); err != nil {
		return Release{}, false, err
	}
	if err := m.slots.take(ctx); err != nil {
		return Release{}, false, err
	}
	give := sync.OnceFunc(m.slots.give)
	defer give()
	defer context.AfterFunc(ctx, give)() // what hangs keeps no other build from being made
	for range restarts {
		// Again: the inputs may have changed while we waited.
		if j, err = m.prepareIn(ctx, r); err != nil {
			return Release{}, false, err
		}
		if rel, ok := j.same(); ok {
			return rel, false, j.ownOnly(ctx)
		}
		j.ignored = ignored
		if j.because = j.differences(); r.Because != nil {
			r.Because(j.because)
		}
		if rel, err = j.make(ctx); !errors.Is(err, errChanged) {
			break
		}
	}
	if errors.Is(err, errSame) {
		if rel, ok := j.same(); ok {
			return rel, false, j.ownOnly(ctx)
		}
	}
	if err != nil {
		return Release{}, false, err
	}
	return rel, true, nil
}

// prepareIn is prepare within step_timeout.
func (m *Maker) prepareIn(ctx context.Context, r Request) (*job, error) {
	const what = "reading what the release is made of"
	defer r.patience.watch(what)()
	limited, cancel := context.WithTimeoutCause(ctx, r.Build.StepTimeout,
		fmt.Errorf("%s took longer than step_timeout, %v: is something huge or on a slow disk in %s?", what, r.Build.StepTimeout, r.Build.Source))
	defer cancel()
	j, err := m.prepare(limited, r)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, context.Cause(limited)
	}
	return j, err
}

// prepare finds out what would be built, without changing anything.
func (m *Maker) prepare(ctx context.Context, r Request) (_ *job, err error) {
	j := &job{maker: m, Request: r, b: r.Build, dir: folderOf(r.Root, r.Build.Name)}
	if j.as, err = config.IdentityOf(j.b); err != nil {
		return nil, err
	}
	if j.env, err = environ(j.b, m.Environ, j.as); err != nil {
		return nil, err
	}
	if j.python, err = m.interpreters.look(ctx, j.b.Python, j.env, j.as); err != nil {
		return nil, err
	}
	j.interpreter = j.python.Folders
	if err := j.readRequirements(ctx); err != nil {
		return nil, err
	}
	if j.all, err = List(j.Root, j.b.Name); err != nil {
		return nil, err
	}
	if len(j.all) > 0 {
		j.before = &j.all[len(j.all)-1]
	}
	j.chooseEnvironment(ctx)
	app, err := inputs.Resolved(j.b)
	if err != nil {
		return nil, err
	}
	j.reader = inputs.ReaderOf(app, j.b, j.as)
	if j.source, err = m.hashes.ReadTree(ctx, app, j.reader, j.shared()...); err != nil {
		return nil, err
	}
	if err := j.source.Needed(app, j.b, j.reader); err != nil {
		return nil, err
	}
	if j.hash, err = inputs.Identity(j.b, app, j.source, j.requirements, j.venvID); err != nil {
		return nil, err
	}
	return j, nil
}

// readRequirements reads all that an installation does.
func (j *job) readRequirements(ctx context.Context) (err error) {
	j.reads = inputs.InstallReads(j.b, j.dir.Data(), j.env)
	j.requirements, err = j.reads.Hash(ctx, j.maker.hashes, j.Root)
	return err
}

// sameRequirements returns errChanged where an installation would read something else by now.
func (j *job) sameRequirements(ctx context.Context) error {
	before := j.findings
	err := j.readRequirements(ctx)
	if err == nil && j.requirements != before.requirements {
		err = errChanged
	}
	j.findings = before
	return err
}

// environ is the environment of a build's steps, where own is ours.
func environ(b config.Build, own []string, as config.Identity) ([]string, error) {
	env, err := config.Environ(b, own)
	if err != nil {
		return nil, err
	}
	return withHome(env, own, as), nil
}

// withHome puts the user's home in the place of ours, unless the build has set another.
func withHome(env, own []string, as config.Identity) []string {
	if as.Home == "" || inputs.EnvValue(env, "HOME") != inputs.EnvValue(own, "HOME") {
		return env
	}
	env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "HOME=") })
	return append(env, "HOME="+as.Home)
}

// same returns the newest release of the same inputs that has its application and interpreter still,
// unless a new one is to be made of them anyway.
func (j *job) same() (Release, bool) {
	for i := len(j.all) - 1; i >= 0 && !j.Force && !j.Fresh; i-- {
		if j.all[i].Hash != j.hash {
			continue
		}
		if _, err := os.Stat(j.all[i].App(j.b)); err == nil && usable(j.all[i].Venv) {
			return j.all[i], true
		}
	}
	return Release{}, false
}
