package simulate

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// Root is the folder that the made-up file names as its root.
const Root = layout.Root("/srv/root")

// World is a made-up machine with one supervisor, the people around it and what they promised each
// other. All of it is guarded by one lock; its methods that are not exported expect it to be held,
// unless they say otherwise.
type World struct {
	mu    sync.Mutex
	began time.Time
	dice  dice

	sites     map[string]*site // by build; one that has left the file stays
	order     []*site
	procs     map[int]*process // alive, by pid
	names     map[string]*socket
	disk      disk
	inodes    uint64
	sup       *incarnation  // the running one, nil: none
	lives     int           // supervisors so far
	boots     int           // of the machine
	disturbed time.Duration // when a fault last touched everything
	file      file
	wallOff   time.Duration       // how far people have set the clock on the wall
	control   bool                // the control socket has its name
	ownLost   time.Duration       // when somebody last deleted something of the supervisor's folder
	inScan    *site               // whose main process dies while the process table is read; nil: none
	alter     func(*config.Build) // what a planted fault does to each entry that is read; nil: nothing
	running   sync.WaitGroup
	planted   func(*incarnation, *ports.World)
	traits    traits
	phase
	course
}

// phase is how far a history has come.
type phase struct {
	starting bool // a supervisor is about to start
	quiet    bool // no more faults come
	ending   bool // the supervisor was told to stop for good
	over     bool
}

// course is what is kept of a history.
type course struct {
	story   story
	clients clients
	work    work
	broken  []Broken
}

// traits are what this machine is like.
type traits struct {
	noRecover bool // listeners cannot be taken back (no rights, or an old kernel)
	noGuard   bool // folders cannot be watched
	holder    bool // the service manager holds sockets for the next supervisor
	recycle   bool // the pid of who has ended goes to a stranger at once
	parallel  int  // attempts at once
}

// Broken is a promise that did not hold.
type Broken struct {
	At      time.Duration
	Build   string // "": of the whole supervisor
	Promise string
	How     string
}

func (b Broken) String() string {
	about := ""
	if b.Build != "" {
		about = b.Build + ": "
	}
	return fmt.Sprintf("%s%s: %s", about, b.Promise, b.How)
}

// site is a build's place: its folder, its source, its trees and what people want of it.
type site struct {
	w     *World
	name  string
	index int
	paths layout.Build
	dice  dice

	source
	shelf
	timetable
	model // what people were promised

	sockets []*socket
	trees   []*tree // servers
	beside  []*tree // instances of processes
	pids    int
	boots   []boot // what the next starts come to
	hooks   int    // that run
	files   map[string]bool
	touched func() // tells the supervisor that a socket may have lost its path
}

func newWorld(seed uint64) *World {
	return &World{
		began: time.Now(), dice: newDice(seed, "machine"), sites: map[string]*site{}, procs: map[int]*process{},
		names: map[string]*socket{}, disk: newDisk(), boots: 1,
	}
}

func (w *World) addSite(seed uint64, name string) *site {
	s := &site{w: w, name: name, index: len(w.order), paths: Root.Build(name), dice: newDice(seed, name), files: map[string]bool{},
		timetable: timetable{tasks: map[string]*run{}, lastRun: map[string]time.Duration{}, began: map[string]int{}},
		model:     model{calls: calls{events: map[string]int{}, called: map[string]int{}}},
	}
	w.sites[name] = s
	w.order = append(w.order, s)
	return s
}

// siteAt returns the build in whose folder a path lies.
func (w *World) siteAt(path string) *site {
	dir := filepath.Dir(path)
	if _, private := layout.PrivateGeneration(path); private {
		dir = filepath.Dir(dir)
	}
	return w.sites[filepath.Base(dir)]
}

// all are the trees of a build, of whatever kind.
func (s *site) all() []*tree { return slices.Concat(s.trees, s.beside) }

func (w *World) now() time.Duration { return time.Since(w.began) }

// after calls f after a time, with the lock held, unless the history is over by then.
func (w *World) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			f()
		}
	})
}

func (w *World) tell(who, what string) { w.story.add(moment{w.now(), who, what}) }

func (s *site) tell(format string, args ...any) { s.w.tell(s.name, fmt.Sprintf(format, args...)) }

// breaks notes that a promise does not hold.
func (w *World) breaks(build, promise, format string, args ...any) {
	if w.over || len(w.broken) >= maxBroken {
		return
	}
	b := Broken{w.now(), build, promise, fmt.Sprintf(format, args...)}
	w.broken = append(w.broken, b)
	w.tell("PROMISE", b.String())
}

// maxBroken bounds how many broken promises are kept of one history: what follows the first is
// seldom news.
const maxBroken = 5

func (s *site) breaks(promise, format string, args ...any) {
	s.w.breaks(s.name, promise, format, args...)
}
