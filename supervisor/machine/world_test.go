package machine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// world is a simulated world: it carries out the effects of one machine as the real one would, with
// faults and late events, and rejects effects that make no sense when they come. What happens next
// is random; a roll of zero is always the uneventful outcome, so that a failing history shrinks to
// a short, calm one.
type world struct {
	dice  uint64
	fatal func(history string)
	seen  func(from, to Phase, cause Event) // called on each change of phase, if not nil

	now     time.Time
	s       State
	history []moment
	steps   int

	policy   Policy
	replicas map[string]int // by run settings
	runKey   string
	inputs   int       // what the build's files hold now
	edits    int       // the newest content there ever was
	made     []release // the store, oldest first
	trees    []*tree   // generation n is trees[n-1]
	build    *making   // until the machine has been told that it is over
	named    bool      // the public socket exists
	refuses  bool
	lost     bool // the public listener is a new one, and public serves on the one before
	alone    bool // no tree can share the listener of the first one
	public   int  // the group of server trees on the public listener, as far as the machine was told
	timers   [len(timerKinds)]time.Time
	mail     []Event // what has happened and the machine does not know yet
	gone     bool

	model
}

var timerKinds = [...]TimerKind{TimerRestart, TimerCandidate, TimerStable, TimerBuild, TimerOpen, TimerMembers}

// tree is a process tree as it really is.
type tree struct {
	version Version
	group   int    // the tree that led its generation at first
	count   int    // how many trees there were to be when it was started
	process string // "" for a server
	index   int
	staged  bool // began on a staging socket
	alive   bool // its main process is running
	proving bool
	leaving bool // told to end
	ended   bool // nothing is left of it
	watched bool
	ready   bool // the machine was told that it has passed its check
	failed  bool // the machine was told that it failed or exited
}

// making is a running attempt.
type making struct {
	seq        int
	forced     bool
	inputs     int // zero until they are copied
	committed  bool
	told       bool // the machine knows that it committed
	cancelling bool
	over       bool
}

type release struct {
	id     string
	inputs int
	pruned bool
	gone   bool // somebody removed it
}

// moment is one step of the history, kept to be printed.
type moment struct {
	at      time.Time
	event   Event
	effects []Effect
	phase   Phase
	inputs  int
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(fatal func(history string)) *world {
	return &world{
		fatal: fatal, now: epoch, runKey: "k1", inputs: 1, edits: 1,
		policy: Policy{
			Autostart: true, Restart: RestartAlways, DelayMax: 30 * time.Second,
			StableAfter: 10 * time.Second, Failures: 3, Grace: 30 * time.Second,
		},
	}
}

// take gives the machine an event and carries out the effects. The results of effects that complete
// at once come next, before anything else.
func (w *world) take(e Event) {
	for queue := []Event{e}; len(queue) > 0; queue = queue[1:] {
		e := queue[0]
		before, kept := w.s, keep(w.s)
		next, effects := Step(before, e, w.now)
		w.steps++
		w.history = append(w.history, moment{w.now, e, effects, next.Phase(), w.inputs})
		w.require(kept.equals(before), "the state passed in was changed")
		w.happened(before, next, e)
		w.s = next
		for i, f := range effects {
			w.ordered(effects, i)
			if answer := w.carryOut(f); answer != nil {
				queue = append(queue, answer)
			}
		}
		w.settled(before, next, e, effects)
		if from, to := before.Phase(), next.Phase(); from != to && w.seen != nil {
			w.seen(from, to, e)
		}
	}
	w.atPeace()
}

// carryOut carries out an effect. Its result, if there is one, comes before any other event.
func (w *world) carryOut(f Effect) Event {
	switch f := f.(type) {
	case Open:
		return w.open()
	case Refuse:
		w.require(w.named && f.On != w.refuses, "%#v: not on the public name, or already", f)
		w.require(!f.On || w.public == 0 || w.lost, "refuses the clients of generation %d", w.public)
		w.refuses = f.On
	case Withdraw:
		w.require(w.named && !w.refuses, "withdraws a name that is not there, or refuses on it")
		w.named, w.public, w.lost = false, 0, false
	case Leave:
		w.require(w.named && !w.refuses && w.want == WantShutdown, "leaves a name that is not there, refuses on it, or while %q", w.want)
		w.named, w.public, w.lost = false, 0, false
	case Spawn:
		return w.spawn(f)
	case Swap:
		return w.swap(f.N)
	case Retire:
		g := w.tree(f.N)
		w.require(!g.leaving, "retires %d, which is leaving", f.N)
		w.require(w.public != g.group, "retires %d, which has the public name", f.N)
		w.require(f.Hung || g.ready, "drains %d, which takes no clients", f.N)
		g.leaving = true
	case End:
		g := w.tree(f.N)
		w.require(!g.leaving, "ends %d twice", f.N)
		g.leaving = true
	case Watch:
		g := w.tree(f.N)
		w.require(w.public == g.group && g.ready && !g.watched, "watches %d, which does not serve, or twice", f.N)
		g.watched = true
	case Build:
		w.require(w.build == nil, "two builds at once")
		w.require(w.want == WantServe, "builds while %q", w.want)
		w.require(!w.final, "builds again what failed for good")
		w.require(f.Force || !f.Fresh, "a new environment without a new release")
		w.require(f.Seq == w.builds+1, "build %d after %d", f.Seq, w.builds)
		w.builds = f.Seq
		w.build = &making{seq: f.Seq, forced: f.Force}
	case CancelBuild:
		w.cancel(f)
	case SetTimer:
		w.setTimer(f)
	case Save:
	case Note:
		w.noted(f)
	case Gone:
		w.require(!w.gone, "gone twice")
		w.gone = true
	default:
		w.require(false, "the world does not know effect %T", f)
	}
	return nil
}

func (w *world) open() Event {
	w.require(!w.named && w.want == WantServe, "opens a name that is there, or while %q", w.want)
	if w.roll(3) == 2 {
		return OpenFailed{Reason: "no space left on device"}
	}
	w.named = true
	return Opened{}
}

func (w *world) spawn(f Spawn) Event {
	w.require(w.want == WantServe, "spawns while %q", w.want)
	w.require(f.N == len(w.trees)+1, "generation %d after %d", f.N, len(w.trees))
	gone := w.removed(f.Version.Release)
	w.require(gone || w.stored(f.Version.Release), "spawns release %q, which is not there", f.Version.Release)
	g := &tree{version: f.Version, staged: !f.Public && f.Process == "", group: f.N, count: max(w.s.Policy.Replicas, 1), process: f.Process, index: f.Index}
	w.trees = append(w.trees, g)
	switch {
	case f.Process != "":
		w.spawnedProcess(f)
	case f.With != 0 || f.Public && w.public != 0:
		w.spawnedReplica(f)
	case f.Public:
		w.require(w.named && !w.refuses, "%d on a public listener that is not there, or refuses", f.N)
		w.require(w.public == 0, "%d next to %d on the public listener", f.N, w.public)
		w.require(w.proved[f.Version], "%v, which never passed its check, on the public listener", f.Version)
		w.public, w.alone = f.N, false
		w.spawned(f)
	default:
		w.spawned(f)
	}
	if gone {
		w.post(ReleaseGone{Release: f.Version.Release})
		return SpawnFailed{N: f.N, Reason: "no such file or directory"}
	}
	if w.roll(8) == 7 {
		return SpawnFailed{N: f.N, Reason: "fork: resource temporarily unavailable"}
	}
	g.alive, g.proving = true, true
	return Spawned{N: f.N, Pid: 1000 + f.N}
}

func (w *world) swap(n int) Event {
	g := w.tree(n)
	w.require(w.named && !w.refuses, "swaps a name that is not there, or refuses on it")
	for i, g := range w.trees {
		w.require(g.group != n || g.staged && g.ready && !g.failed && !g.leaving, "gives the name to %d, of which %d has not passed its check or is not there", n, i+1)
	}
	w.require(len(w.of(n)) == g.count, "gives the name to %d of %d trees", len(w.of(n)), g.count)
	if w.roll(10) == 9 {
		return SwapFailed{N: n, Reason: "read-only file system"}
	}
	w.public, w.lost, w.alone = n, false, false
	w.proved[g.version] = true
	return Swapped{N: n}
}

func (w *world) cancel(f CancelBuild) {
	b := w.build
	w.require(b != nil && b.seq == f.Seq && !b.cancelling, "cancels build %d, which does not run, or twice", f.Seq)
	if b.told {
		w.require(w.want != WantServe, "cancels build %d, which has committed", f.Seq)
		w.require(f.Grace == w.s.Policy.Grace, "cancels a committed build within %v", f.Grace)
	} else {
		w.require(f.Grace == 0, "lets build %d go on for %v", f.Seq, f.Grace)
	}
	b.cancelling = true
}

func (w *world) setTimer(f SetTimer) {
	at := w.timer(f.Kind)
	w.require(f.At.IsZero() || !f.At.Before(w.now), "timer %s in the past", f.Kind)
	w.bounded(f)
	*at = f.At
}

func (w *world) timer(k TimerKind) *time.Time {
	for i, kind := range timerKinds {
		if kind == k {
			return &w.timers[i]
		}
	}
	w.require(false, "timer of an unknown kind %q", k)
	return nil
}

func (w *world) tree(n int) *tree {
	w.require(n > 0 && n <= len(w.trees), "generation %d was never spawned", n)
	return w.trees[n-1]
}

func (w *world) stored(id string) bool {
	for _, r := range w.made {
		if r.id == id {
			return !r.pruned
		}
	}
	return false
}

// removed says that somebody has removed a release.
func (w *world) removed(id string) bool {
	return slices.ContainsFunc(w.made, func(r release) bool { return r.id == id && r.gone })
}

// prune removes the releases that keep_releases = 1 does not keep.
func (w *world) prune() {
	newest := len(w.made) - 1
	for i := range w.made {
		if r := &w.made[i]; i != newest && !r.pruned {
			r.pruned = !w.inUse(r.id)
		}
	}
}

func (w *world) inUse(id string) bool {
	for _, e := range w.mail {
		if done, ok := e.(BuildDone); ok && done.Release == id {
			return true
		}
	}
	for _, used := range w.s.InUse() {
		if used == id {
			return true
		}
	}
	return false
}

func (w *world) post(e Event) { w.mail = append(w.mail, e) }

// deliver gives the machine one of the waiting events.
func (w *world) deliver() {
	i := w.roll(len(w.mail))
	e := w.mail[i]
	w.mail[i] = w.mail[len(w.mail)-1]
	w.mail = w.mail[:len(w.mail)-1]
	w.take(e)
}

// require ends the test with the whole history if a claim does not hold.
func (w *world) require(holds bool, format string, args ...any) {
	if holds {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, format, args...)
	b.WriteString("\n")
	for i, m := range w.history {
		fmt.Fprintf(&b, "%3d  +%-8v %-10s %s, inputs %d\n", i, m.at.Sub(epoch), m.phase, show(m.event), m.inputs)
		for _, f := range m.effects {
			if (f != Save{}) {
				fmt.Fprintf(&b, "               -> %s\n", show(f))
			}
		}
	}
	fmt.Fprintf(&b, "mail: %v; inputs %d; releases %v\n%+v", w.mail, w.inputs, w.made, w.s)
	w.fatal(b.String())
}

func show(v any) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "machine.") + strings.TrimPrefix(fmt.Sprintf("%+v", v), "machine.")
}

// released is the newest release of these inputs that is kept, or "".
func (w *world) released(inputs int) string {
	for i := len(w.made) - 1; i >= 0; i-- {
		if r := w.made[i]; r.inputs == inputs && !r.pruned {
			return r.id
		}
	}
	return ""
}

func (w *world) inputsOf(id string) int {
	for _, r := range w.made {
		if r.id == id {
			return r.inputs
		}
	}
	return 0
}

// finish ends the running attempt with a release.
func (w *world) finish() {
	b := w.build
	if b.inputs == 0 {
		b.inputs = w.inputs
	}
	id, fresh := w.released(b.inputs), false
	if id == "" || b.forced {
		id, fresh = "r"+strconv.Itoa(len(w.made)+1), true
		w.made = append(w.made, release{id: id, inputs: b.inputs})
	}
	b.over = true
	w.post(BuildDone{Seq: b.seq, Release: id, Fresh: fresh})
}
