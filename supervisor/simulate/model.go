package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// wish is what people want of a build, as far as it is certain.
type wish string

const (
	wishServe   wish = "serve"
	wishStopped wish = "stopped"
	wishUnsure  wish = "unsure" // a command is under way, or the supervisor died under it
)

// model is what people were promised of a build, worked out from what they and the world did.
type model struct {
	sure          bool   // it serves, and no one has asked for anything else since
	lasts         bool   // it served when the supervisor was restarted, and the service manager holds its socket
	named         bool   // the public name is there, unless the supervisor takes it away
	why           string // it is not
	since         time.Duration
	spared        bool // when it was removed, by somebody, folders were watched
	seenBy        int  // the last supervisor that has read of it in the file
	lostReleases  bool // somebody has deleted one
	recordLost    bool // somebody has deleted its record, and it was not written since
	longestAnswer time.Duration
	passed        []passing
	disturbed     time.Duration // when a fault last touched the build
	crashed       time.Duration // when what served was killed while all was well; zero: answered
	wishes
	counts
	calls
}

// wishes are what people have asked for.
type wishes struct {
	wish      wish
	wishBy    *command      // that settles the wish, once it has a result
	wishAt    time.Duration // when the wish was settled
	commands  []*command
	rolled    bool // rolled back, or built anew by hand, since the last edit
	backless  bool // releases were deleted since then: what a rollback went to serves on, and nothing can be started from it
	editedAt  time.Duration
	removedAt time.Duration
}

// counts are how often something was done.
type counts struct {
	attempts, starts int
	besides          int // starts of processes
	unlinked         int // how often all its sockets were deleted
}

// calls are what people were told, and hooks were called for, by event and release.
type calls struct {
	events, called map[string]int
}

// passing is a tree that has passed its check.
type passing struct {
	n       int
	release *release
	begun   time.Duration
	at      time.Duration
}

// work is what the supervisor did, to be bounded.
type work struct {
	attempts, probes, reached int
}

// reachable says that whoever connects must find somebody.
func (s *site) reachable() bool {
	w := s.w
	if s.lasts && s.named && !w.ending {
		return true
	}
	return w.sup != nil && !w.sup.hard && !w.sup.stopping && !w.ending && s.entry != nil && s.sure && s.named
}

// bound is that the supervisor has made a socket at a path.
func (s *site) bound(k *socket, path string) {
	if path == s.paths.Socket() {
		s.tell("the supervisor makes the public socket, %d", k.inode)
		s.up()
	}
}

// nameGiven is that the public name was given to a socket.
func (s *site) nameGiven(k *socket) {
	for _, t := range s.trees {
		if t.sock != k {
			if t.served && t.lostName == 0 {
				t.lostName = s.w.now()
			}
			continue
		}
		t.lostName = 0
		s.tell("the supervisor gives the public name to %v", t)
		if !t.passed {
			s.breaks("no release gets the name before it has passed its check", "%v gets it", t)
		}
		t.served = true
	}
	s.up()
}

// up is that the public name leads to a socket again.
func (s *site) up() {
	if took := s.w.now() - s.since; !s.named && s.spared && took > repairLimit {
		s.breaks("a deleted name is soon back", "it takes %v", took)
	}
	s.named, s.spared, s.lasts = true, false, false
	if s.entry != nil && s.wish == wishServe {
		s.sure = true
	}
}

// repairLimit bounds the time until a public name that somebody deleted is back, where folders can be
// watched: by its second name, or else on a new socket.
const repairLimit = time.Second

// down is that the public name was lost through no fault of the supervisor.
func (s *site) down(why string) {
	if s.named {
		s.named, s.why, s.since = false, why, s.w.now()
	}
}

// nameRemoved is that the supervisor has removed a name.
func (s *site) nameRemoved(path string) {
	if path != s.paths.Socket() {
		return
	}
	s.tell("the supervisor removes the public name")
	if s.reachable() {
		s.breaks("the public name is there while the build is meant to serve", "the supervisor removes it")
	}
	s.named, s.why, s.since = false, "the supervisor removed it", s.w.now()
}

// unsure is that something was asked for, or happened, after which it is not certain that the build
// is to serve.
func (s *site) unsure() { s.sure, s.spared, s.lasts = false, false, false }

// disturb notes a fault, after which it may take a while until all is well.
func (s *site) disturb() {
	s.disturbed = s.w.now()
	s.crashed = 0
}

// started is that a supervisor starts generation n on a socket, for at most so many trees.
func (s *site) started(k *socket, n, replicas int) {
	w := s.w
	s.starts++
	if s.crashed != 0 {
		if took := w.now() - s.crashed; took > crashLimit {
			s.breaks("a crash is answered at once", "the successor comes %v after it", took)
		}
		s.crashed = 0
	}
	beside := 0
	for _, t := range s.trees {
		if t.sock != k || t.ended {
			continue
		}
		if beside++; beside >= replicas && !(w.lives > 1 && beside < mostReplicas) { // one that was adopted keeps as many as it had
			s.breaks("as many trees serve a name as the file says: TERM comes before the successor", "generation %d starts on the socket of %v, which was not told to end", n, t)
		}
	}
}

// once holds that nothing is left of an instance of a process when its successor starts.
func (s *site) once(name string, index, n int, overlap bool) {
	for _, t := range s.beside {
		if t.process != name || t.index != index {
			continue
		}
		if !overlap || t.n > n {
			s.breaks("an instance of a process runs once", "generation %d starts, and %v is there", n, t)
		}
	}
}

// failures are the events after which a build may be well again.
var failures = []machine.EventName{machine.EventBuildFailed, machine.EventGaveWay, machine.EventExited, machine.EventUnhealthy, machine.EventReplicaFailed,
	machine.EventCandidateFailed, machine.EventProcessExited, machine.EventScheduleFailed}

// happened notes what people are told.
func (s *site) happened(event, release string) {
	s.events[event+" "+release]++
	if slices.Contains(failures, machine.EventName(event)) {
		s.events[wellAgain]++
	}
}

// wellAgain stands for the events that on_recovery may be called after.
const wellAgain = "recovered"

// hooked holds that a hook is called at most once for what it is told of.
func (s *site) hooked(env []string) {
	told := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		told[name] = value
	}
	what := told["MEDCTRL_EVENT"] + " " + told["MEDCTRL_RELEASE"]
	if told["MEDCTRL_EVENT"] == string(machine.EventRecovered) {
		what = wellAgain
	}
	if s.called[what]++; s.called[what] > s.events[what] {
		s.breaks("a hook is called once for an event", "%s: %d times, and it happened %d times", what, s.called[what], s.events[what])
	}
}

// crashLimit bounds the time from the first crash of what was well to its successor.
const crashLimit = time.Second

func (s *site) serving() *tree {
	k := s.w.names[s.paths.Socket()]
	if k == nil {
		return nil
	}
	for _, t := range s.trees {
		if t.sock == k && t.master.alive && !t.ended {
			return t
		}
	}
	return nil
}

// wants returns the entry as it is to be used, a copy.
func (s *site) wants() *config.Build {
	b := *s.entry
	return &b
}

// forgotten says that the running supervisor does not know of the build: what one that died before it
// saw it leave the file has left of it may stay.
func (s *site) forgotten() bool { return s.entry == nil && (s.w.sup == nil || s.seenBy != s.w.sup.n) }
