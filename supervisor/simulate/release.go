package simulate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// inputs are what goes into a release, as they lie in the source.
type inputs struct {
	id   int
	boot boot   // what its servers come to
	fail string // the step of a build that fails; "": none
}

func (in inputs) bad() bool { return in.fail != "" || in.boot.harmful() }

func (in inputs) String() string {
	switch {
	case in.fail != "":
		return fmt.Sprintf("contents %d, whose step %s fails", in.id, in.fail)
	case in.boot != bootWell:
		return fmt.Sprintf("contents %d, whose server %v", in.id, in.boot)
	}
	return fmt.Sprintf("contents %d", in.id)
}

// release is a finished one.
type release struct {
	build.Release
	site   *site
	inputs inputs
	made   time.Duration
}

// shelf is what a build has of releases.
type shelf struct {
	releases  []*release
	half      string // an unfinished release; "": none
	final     string // the identity of what failed when it could not be repeated any more; "": nothing has
	making    bool
	committed bool   // what is made cannot be undone any more
	attempt   int    // the number of the last one
	current   string // where the link leads
	statics   string // the release whose static files are live
	staged    string // and that whose are prepared
}

// there says that nobody has removed it.
func (r *release) there() bool { return slices.Contains(r.site.releases, r) }

// slots are those for attempts that run at once.
type slots struct {
	limit, taken int
	waiting      []chan struct{}
}

func (s *slots) give() {
	s.taken--
	s.next()
}

func (s *slots) next() {
	for s.taken < s.limit && len(s.waiting) > 0 {
		s.taken++
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}

// releases is the port to make and keep them.
type releases struct{ *incarnation }

var steps = []string{"settings", "copy", "environment", "install", "compile", "check", "migrate", "collectstatic"}

// identity stands for all that goes into a release.
func identity(in inputs, entry *config.Build) string {
	return fmt.Sprintf("%06x", mix(uint64(in.id)<<32^hash(fmt.Sprint(entry.PipArgs, entry.Migrate)))&0xffffff)
}

func (s *site) same(id string) *release {
	for _, r := range slices.Backward(s.releases) {
		if r.Hash == id {
			return r
		}
	}
	return nil
}

func (k releases) Make(ctx context.Context, r build.Request) (build.Release, bool, error) {
	w, s := k.w, k.w.sites[r.Build.Name]
	k.spend(&s.dice)
	if !k.lock() {
		return build.Release{}, false, context.Canceled
	}
	w.work.attempts++
	s.attempts++
	in := s.inputs
	id := identity(in, &r.Build)
	if same := s.same(id); same != nil && !r.Force {
		w.mu.Unlock()
		return same.Release, false, nil
	}
	if s.final == id && !r.Force {
		w.mu.Unlock()
		return build.Release{}, false, &build.StepError{Build: s.name, Step: "migrate", Err: errors.New("it failed before"), Final: true}
	}
	turn := make(chan struct{})
	k.slots.waiting = append(k.slots.waiting, turn)
	k.slots.next()
	w.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		w.mu.Lock()
		before := len(k.slots.waiting)
		k.slots.waiting = slices.DeleteFunc(k.slots.waiting, func(c chan struct{}) bool { return c == turn })
		if len(k.slots.waiting) == before { // it was its turn just now
			k.slots.give()
		}
		w.mu.Unlock()
		return build.Release{}, false, ctx.Err()
	}
	rel, fresh, err := k.make(ctx, s, r)
	w.mu.Lock()
	k.slots.give()
	w.mu.Unlock()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return rel, fresh, err
}

func (k releases) make(ctx context.Context, s *site, r build.Request) (build.Release, bool, error) {
	w := k.w
	if !k.lock() {
		return build.Release{}, false, context.Canceled
	}
	if s.making {
		s.breaks("a build has one attempt at a time", "another one is under way")
	}
	s.making, s.committed = true, false
	s.attempt++
	in := s.inputs
	id := identity(in, &r.Build)
	if same := s.same(id); same != nil && !r.Force {
		s.making = false
		w.mu.Unlock()
		return same.Release, false, nil
	}
	s.half, s.final = s.nextID(id), ""
	s.tell("an attempt begins, of %v", in)
	w.mu.Unlock()
	err := k.steps(ctx, s, r, &in)
	if !k.lock() {
		return build.Release{}, false, context.Canceled
	}
	defer w.mu.Unlock()
	s.making = false
	name := s.half
	s.half = ""
	if err == nil {
		err = w.disk.writable()
	}
	if err == nil && name == "" {
		err = errHalfGone
	}
	if err != nil {
		var step *build.StepError
		if s.committed && ctx.Err() == nil && !errors.As(err, &step) {
			err = &build.StepError{Build: s.name, Step: "finish", Err: err, Final: true}
		}
		if errors.As(err, &step) && step.Final {
			s.final = id
		}
		s.tell("the attempt ends: %v", err)
		return build.Release{}, false, err
	}
	dir := s.paths.Release(name).Dir()
	made := &release{site: s, inputs: in, made: w.now(), Release: build.Release{
		ID: name, Hash: id, Dir: dir, Venv: s.paths.Venv("venv"), VenvID: "venv", Created: w.wall(),
	}}
	s.releases = append(s.releases, made)
	s.tell("release %s is made of %v", name, in)
	return made.Release, true, nil
}

func (k releases) steps(ctx context.Context, s *site, r build.Request, in *inputs) error {
	for i, step := range steps {
		if step == "migrate" && r.Build.Migrate && r.Irreversible != nil {
			r.Irreversible()
			k.w.mu.Lock()
			s.committed = true
			k.w.mu.Unlock()
		}
		p := build.Progress{Step: step, N: i + 1, Of: len(steps)}
		r.Progress(p)
		if !k.lock() {
			return context.Canceled
		}
		if step == "copy" {
			// What is in the source now is what is copied.
			if now := s.inputs; now.id != in.id && identity(now, &r.Build) != identity(*in, &r.Build) {
				k.w.mu.Unlock()
				return &build.StepError{Build: s.name, Step: step, Err: errors.New("the inputs change faster than they can be built")}
			}
		}
		took := s.dice.between(throwStep, 2*time.Millisecond, 400*time.Millisecond)
		if step == "install" || step == "migrate" {
			took *= 8
		}
		k.w.mu.Unlock()
		t := time.NewTimer(took)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-k.gone:
			t.Stop()
			return context.Canceled
		}
		if !k.lock() {
			return context.Canceled
		}
		err := k.w.disk.writable()
		if err == nil && s.half == "" {
			err = errHalfGone
		}
		k.w.mu.Unlock()
		if err == nil && in.fail == step {
			err = errors.New("exit code 1")
		}
		if err != nil {
			return &build.StepError{Build: s.name, Step: step, Err: err, Tail: []string{"ERROR: made up"}, Log: s.paths.FailedLog(), Final: s.committed}
		}
		p.Done, p.Elapsed = true, took
		r.Progress(p)
	}
	return nil
}

// errHalfGone is the folder of an unfinished release that somebody has removed.
var errHalfGone = fmt.Errorf("write into the release: %w", fs.ErrNotExist)

// nextID is later than that of every release there is, also where the clock was set back.
func (s *site) nextID(id string) string {
	now := s.w.wall().UTC().Truncate(time.Second)
	for _, r := range s.releases {
		if at, err := time.Parse("20060102T150405", r.ID[:15]); err == nil && !now.After(at) {
			now = at.Add(time.Second)
		}
	}
	return now.Format("20060102T150405") + "-" + id
}

func (s *site) release(id string) *release {
	for _, r := range s.releases {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (k releases) Check(context.Context, build.Look) error { return nil }

func (k releases) Why(_ context.Context, entry *config.Build) (build.Difference, error) {
	s := k.w.sites[entry.Name]
	if !k.lock() {
		return build.Difference{}, context.Canceled
	}
	defer k.w.mu.Unlock()
	if same := s.same(identity(s.inputs, entry)); same != nil {
		return build.Difference{Release: same.ID}, nil
	}
	return build.Difference{Because: []string{s.inputs.String()}}, nil
}

func (k releases) Get(name, id string) (build.Release, error) {
	if !k.lock() {
		return build.Release{ID: id}, nil
	}
	defer k.w.mu.Unlock()
	if r := k.w.sites[name].release(id); r != nil {
		return r.Release, nil
	}
	return build.Release{}, fmt.Errorf("read release %s of %s: %w", id, name, fs.ErrNotExist)
}

func (k releases) List(name string) ([]build.Release, error) {
	if !k.lock() {
		return nil, nil
	}
	defer k.w.mu.Unlock()
	var all []build.Release
	for _, r := range k.w.sites[name].releases {
		all = append(all, r.Release)
	}
	return all, nil
}

func (k releases) Own(context.Context, string, config.Identity, ...string) error { return nil }

func (k releases) Prune(entry *config.Build, inUse ...string) error {
	s := k.w.sites[entry.Name]
	k.spend(&s.dice)
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	n := len(s.releases) - entry.KeepReleases
	kept := s.releases[:0:0]
	for i, r := range s.releases {
		if i >= n || slices.Contains(inUse, r.ID) {
			kept = append(kept, r)
			continue
		}
		for _, t := range s.all() {
			if t.release == r && t.master.alive && !t.ended {
				s.breaks("a release in use is kept", "%s is removed and %v runs it", r.ID, t)
			}
		}
	}
	s.releases = kept
	return nil
}

func (k releases) SetCurrent(name, id string) error {
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	if err := k.w.disk.writable(); err != nil {
		return err
	}
	k.w.sites[name].current = id
	return nil
}

func (k releases) Tidy(name string) (rest func() error, err error) {
	return func() error {
		s := k.w.sites[name]
		if !k.sleepFor(context.Background(), s.dice.between(throwTidy, 0, 2*time.Second)) || !k.lock() {
			return nil
		}
		defer k.w.mu.Unlock()
		s.half = ""
		return nil
	}, nil
}

func (k releases) StageStatics(ctx context.Context, entry *config.Build, id string) error {
	s := k.w.sites[entry.Name]
	if !k.sleepFor(ctx, s.dice.between(throwStatics, time.Millisecond, 3*time.Second)) || !k.lock() {
		return context.Canceled
	}
	defer k.w.mu.Unlock()
	if err := k.w.disk.writable(); err != nil {
		return err
	}
	s.staged = id
	return nil
}

// PublishStatics has the files live at once where they were prepared.
func (k releases) PublishStatics(ctx context.Context, entry *config.Build, id string) error {
	s := k.w.sites[entry.Name]
	if !k.lock() {
		return context.Canceled
	}
	ready := s.staged == id || s.statics == id
	k.w.mu.Unlock()
	if !ready && !k.sleepFor(ctx, s.dice.between(throwStatics, time.Millisecond, 3*time.Second)) || !k.lock() {
		return context.Canceled
	}
	defer k.w.mu.Unlock()
	if s.statics == id {
		return nil
	}
	if err := k.w.disk.writable(); err != nil {
		return err
	}
	r := s.release(id)
	if r == nil {
		return fmt.Errorf("publish the static files of %s: it is not there", id)
	}
	if !slices.ContainsFunc(s.passed, func(p passing) bool { return p.release.ID == id }) { // one that was deleted may be made again
		s.breaks("static files are not live before their release has passed its check", "those of %s are", id)
	}
	s.tell("the static files of release %s are live", id)
	s.statics, s.staged = id, ""
	return nil
}

// sleepFor is false where ctx ended, or the supervisor died, before.
func (k releases) sleepFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-k.gone:
	}
	return false
}

func (k releases) SetCollectors([]string) {}

func (k releases) SetParallel(n int) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	k.slots.limit = n
	k.slots.next()
}
