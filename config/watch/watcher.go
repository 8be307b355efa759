package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"
)

// Target is a set of files and folders whose changes are told under one ID. Several may have the
// same.
type Target struct {
	ID    string
	Files []string
	Trees []string // everything in and below these
	Globs []string // files that match; only their names may have signs (filepath.Match)
	Locks []string // while one of these files is there, somebody is writing the others: nothing is told

	// Making, where given, reports whether something is being made of the files.
	Making func() bool
	// Restless, where given, is called when other files than before change again and again, so that
	// they are told less often; with none when that is over. A path with a slash at its end is a
	// folder of a tree in which the names change. It must not block. Where it is not given, all are
	// told at once, and files in trees as named ones are.
	Restless func(paths []string)
}

func (t Target) equal(other Target) bool {
	return t.ID == other.ID && slices.Equal(t.Files, other.Files) && slices.Equal(t.Trees, other.Trees) && slices.Equal(t.Globs, other.Globs) && slices.Equal(t.Locks, other.Locks)
}

const pollEvery = time.Second

// Watcher tells when files are touched: replaced, renamed over, written, linked to something else,
// removed or made. It watches folders, not files, because editors rename and config maps swap
// links.
//
// Where a folder cannot be watched (fs.inotify limits, network file systems) it looks at the files
// in it every second instead, and the log says so.
type Watcher struct {
	log   hclog.Logger
	ways  ways
	set   chan []Target
	out   chan []string
	idle  chan struct{} // received from between two pieces of work
	stop  chan struct{}
	done  chan struct{}
	close func() error

	// Used by run only.
	targets []Target
	known   map[watched]bool // files that were watched before
	folders map[string]bool  // watched
	wanted  wanted           // what the targets were found to need when that was last looked at
	poll    *time.Ticker
	polling bool
	polled  map[string]map[string]string // by ID, by path: what its files looked like
	changes map[string]*changes          // by ID
	gather  gather                       // after it folders may have come or gone
}

// ways are how a Watcher learns of changes.
type ways struct {
	notify *fsnotify.Watcher // nil: there is no inotify
	add    func(folder string) error
	remote func(folder string) bool // inotify does not tell of changes that others make there
}

// New returns a Watcher, whose goroutine ends with Close. Set says what it watches.
func New(log hclog.Logger) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("files cannot be watched, they are looked at every second", "error", err)
		return newWatcher(log, ways{remote: remote}), nil
	}
	return newWatcher(log, ways{notify: notify, add: notify.Add, remote: remote}), nil
}

func newWatcher(log hclog.Logger, how ways) *Watcher {
	w := &Watcher{
		log: log, ways: how, set: make(chan []Target), out: make(chan []string),
		idle: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
		known: map[watched]bool{}, folders: map[string]bool{}, polled: map[string]map[string]string{},
		changes: map[string]*changes{},
	}
	w.close = sync.OnceValue(w.end)
	go w.run()
	return w
}

// Set replaces what is watched. A file that was not watched before is told once: it may have
// changed since the caller read it.
func (w *Watcher) Set(targets []Target) {
	select {
	case w.set <- targets:
	case <-w.done:
	}
}

// Wait waits until what was Set is watched.
func (w *Watcher) Wait() {
	select {
	case w.idle <- struct{}{}:
	case <-w.done:
	}
}

// C delivers the sorted IDs of targets that were touched: once nothing more has happened for 200 ms,
// or after a second at the latest if only named files were. What writes a tree is waited for longer,
// see changes.
func (w *Watcher) C() <-chan []string { return w.out }

// Close ends the watching and waits for the goroutine.
func (w *Watcher) Close() error { return w.close() }

func (w *Watcher) end() error {
	close(w.stop)
	<-w.done
	if w.ways.notify == nil {
		return nil
	}
	if err := w.ways.notify.Close(); err != nil {
		return fmt.Errorf("stop watching files: %w", err)
	}
	return nil
}

func (w *Watcher) run() {
	defer close(w.done)
	var events chan fsnotify.Event
	var errs chan error
	if w.ways.notify != nil {
		events, errs = w.ways.notify.Events, w.ways.notify.Errors
	}
	w.poll = time.NewTicker(pollEvery)
	defer w.poll.Stop()
	w.poll.Stop() // until something is polled
	var out chan []string
	var ready []string
	for {
		select {
		case <-w.stop:
			return
		case targets := <-w.set:
			before := w.targets
			w.targets = targets
			came := w.watch()
			came = slices.DeleteFunc(came, func(id string) bool { return !slices.EqualFunc(of(before, id), of(targets, id), Target.equal) })
			w.touch(time.Now(), append(came, w.unknown()...))
			w.forget()
		case <-w.idle:
		case e := <-events:
			w.happened(e)
		case err := <-errs:
			// The kernel's queue may have overflowed: anything may have changed.
			w.log.Debug("watching files hit an error, all count as touched", "error", err)
			w.touch(time.Now(), w.all())
		case <-w.poll.C:
			w.looked()
		case <-w.due():
			ready = sorted(append(ready, w.take()...))
			if len(ready) > 0 {
				out = w.out
			}
		case out <- ready:
			out, ready = nil, nil
		}
	}
}

func sorted(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// due returns a channel for when take has something to do.
func (w *Watcher) due() <-chan time.Time {
	gathered := w.gather.due()
	at := gathered
	for _, c := range w.changes {
		at = earlier(at, c.due(gathered))
	}
	if at.IsZero() {
		return nil
	}
	return time.After(time.Until(at))
}

// take returns the IDs that are to be told now.
func (w *Watcher) take() []string {
	now := time.Now()
	gathered := w.gather.due()
	if !gathered.IsZero() && !now.Before(gathered) {
		w.gather = gather{}
		for _, id := range w.watch() {
			c := w.of(id)
			if w.patient(id) {
				c.touch(now, "/") // what is in the folder is about to come too
				w.gather.touch(now)
			} else {
				c.touch(now, "")
			}
		}
	}
	var ids []string
	for id, c := range w.changes {
		if at := c.due(gathered); at.IsZero() || now.Before(at) {
			continue
		}
		slow := c.repeats.pass(now)
		if (slow || !c.first.IsZero()) && !c.hold(now, w.locks(id)) {
			c.told(now)
			ids = append(ids, id)
		}
		if c.repeats.moved {
			c.repeats.moved = false
			w.say(id, c.repeats.restless())
		}
	}
	w.forget()
	return ids
}

// locks returns the locks of an ID.
func (w *Watcher) locks(id string) []string {
	var all []string
	for _, t := range of(w.targets, id) {
		all = append(all, t.Locks...)
	}
	return all
}

// say says which files of an ID are restless.
func (w *Watcher) say(id string, paths []string) {
	for _, t := range of(w.targets, id) {
		if t.Restless != nil {
			t.Restless(paths)
		}
	}
}

// forget drops what is known of IDs that are no longer watched, or that nothing is to be remembered
// of.
func (w *Watcher) forget() {
	for id, c := range w.changes {
		switch {
		case c.idle() || len(of(w.targets, id)) == 0:
			delete(w.changes, id)
		case !w.judged(id):
			c.repeats = repeats{}
		case !w.patient(id) && c.repeats.dropUnnamed():
			w.say(id, c.repeats.restless())
		}
	}
}

func (w *Watcher) of(id string) *changes {
	if w.changes[id] == nil {
		w.changes[id] = &changes{}
	}
	return w.changes[id]
}

// judged reports whether files of an ID are told less often when they change again and again.
func (w *Watcher) judged(id string) bool {
	return slices.ContainsFunc(w.targets, func(t Target) bool { return t.ID == id && t.Restless != nil })
}

// patient reports whether what writes the trees of an ID is waited for.
func (w *Watcher) patient(id string) bool {
	return slices.ContainsFunc(w.targets, func(t Target) bool { return t.ID == id && t.Restless != nil && len(t.Trees) > 0 })
}

// making reports whether something is being made of the files of an ID.
func (w *Watcher) making(id string) bool {
	return slices.ContainsFunc(w.targets, func(t Target) bool { return t.ID == id && t.Making != nil && t.Making() })
}

// touch records that something of the IDs may have changed.
func (w *Watcher) touch(now time.Time, ids []string) {
	for _, id := range ids {
		w.of(id).touch(now, "")
		w.gather.touch(now)
	}
}

// touchNamed records that a file has changed that the IDs name. folders says that it may be a folder
// that came or went.
func (w *Watcher) touchNamed(now time.Time, ids []string, path string, folders bool) {
	for _, id := range ids {
		if !w.judged(id) || !w.of(id).repeats.touchNamed(path, now, w.making(id)) {
			w.touch(now, []string{id})
		} else if folders {
			w.gather.touch(now)
		}
	}
}

// touchTree records that a file in the trees of the IDs has changed. folders says that it may be a
// folder that came or went.
func (w *Watcher) touchTree(now time.Time, ids []string, path string, folders bool) {
	for _, id := range ids {
		if !w.patient(id) {
			w.touch(now, []string{id})
			continue
		}
		c := w.of(id)
		known := c.repeats.touch(path, now, w.making(id))
		if !known {
			c.touch(now, path)
		}
		if folders || !known {
			w.gather.touch(now)
		}
	}
}

// happened records an event.
func (w *Watcher) happened(e fsnotify.Event) {
	folders := e.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0
	if folders {
		delete(w.folders, e.Name) // it is another one now, or gone
	}
	named, trees := w.touchedBy(e)
	now := time.Now()
	w.touchNamed(now, named, e.Name, folders)
	w.touchTree(now, trees, e.Name, folders)
}

// of returns the targets with an ID.
func of(targets []Target, id string) []Target {
	var all []Target
	for _, t := range targets {
		if t.ID == id {
			all = append(all, t)
		}
	}
	return all
}

// watched is a file or a glob of the target with that ID.
type watched struct{ id, path string }

// unknown returns the IDs of files that are watched for the first time. A target with a tree is
// left out: for its receiver to look through it costs more than it is worth.
func (w *Watcher) unknown() []string {
	var ids []string
	now := map[watched]bool{}
	for _, t := range w.targets {
		for _, file := range slices.Concat(t.Files, t.Globs) {
			key := watched{t.ID, file}
			now[key] = true
			if !w.known[key] && len(t.Trees) == 0 {
				ids = append(ids, t.ID)
			}
		}
	}
	w.known = now
	return ids
}

func (w *Watcher) all() []string {
	var ids []string
	for _, t := range w.targets {
		ids = append(ids, t.ID)
	}
	return ids
}

// touchedBy returns the IDs that an event is about: because they name the file, or because it is in
// one of their trees. A change of rights may make a file readable; in a tree there are too many that
// mean nothing.
func (w *Watcher) touchedBy(e fsnotify.Event) (named, trees []string) {
	folder, name := filepath.Split(e.Name)
	names := w.wanted[filepath.Clean(folder)]
	named = slices.Concat(names[name], matching(names, name))
	if e.Op == fsnotify.Chmod || noise(name) {
		return named, nil
	}
	for _, id := range names[""] {
		if !slices.Contains(named, id) {
			trees = append(trees, id)
		}
	}
	return named, trees
}

// noise reports whether a name is of what editors, Python and version control leave next to files.
func noise(name string) bool {
	return name == ".git" || name == "__pycache__" || name == "node_modules" || name == "4913" ||
		strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") ||
		strings.HasSuffix(name, ".swx") || strings.HasPrefix(name, ".#") ||
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}

// watch brings the watched folders in line with the targets and with what is on the disk now. It
// returns the IDs for which other names are wanted than before: folders or links came or went, and
// their events may not have been read yet and would mean nothing any more.
func (w *Watcher) watch() []string {
	before := w.wanted
	blind := map[string]error{} // by ID: why its files must be polled
	// Of what comes into a folder between the look at it and the beginning of its watch there is no
	// event: look again, until there is no new folder. Something that makes folders faster than
	// that is told of all the same.
	for again, n := true, 0; again && n < 8; n++ {
		w.wanted, again = wantedBy(w.targets), false
		clear(blind)
		for folder, names := range w.wanted {
			before := w.folders[folder]
			err := w.add(folder)
			again = again || w.folders[folder] && !before
			if err == nil {
				continue
			}
			for _, ids := range names {
				for _, id := range ids {
					blind[id] = err
				}
			}
		}
	}
	for folder := range w.folders {
		if w.wanted[folder] == nil {
			_ = w.ways.notify.Remove(folder) // it may be gone already, which is just as good
			delete(w.folders, folder)
		}
	}
	maps.DeleteFunc(w.polled, func(id string, _ map[string]string) bool { return blind[id] == nil })
	for id, why := range blind {
		if _, ok := w.polled[id]; ok {
			continue
		}
		if w.ways.notify != nil { // else New has said it for all
			w.log.Warn("files cannot be watched, they are looked at every second", "build", id, "error", why)
		}
		w.polled[id] = look(w.targets, id)
	}
	if polling := len(w.polled) > 0; polling != w.polling { // else changes of other targets would put the tick off
		w.polling = polling
		w.poll.Stop()
		if polling {
			w.poll.Reset(pollEvery)
		}
	}
	return before.differ(w.wanted)
}

var (
	errNoInotify = errors.New("there is no inotify")
	errRemote    = errors.New("a file system that others may change unseen")
)

// add watches a folder, again each time: one that was removed and made again has lost its watch,
// and adding one that is there costs nothing. An error means that there may be changes in it
// without an event.
func (w *Watcher) add(folder string) error {
	if w.ways.notify == nil {
		return errNoInotify
	}
	err := w.ways.add(folder)
	switch {
	case err == nil:
		w.folders[folder] = true
	case errors.Is(err, fs.ErrNotExist):
		return nil // it has just gone, and its own folder has the event
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("watch %s: %w; raise fs.inotify.max_user_watches", folder, err)
	default:
		return fmt.Errorf("watch %s: %w", folder, err)
	}
	if w.ways.remote(folder) {
		return fmt.Errorf("watch %s: %w", folder, errRemote)
	}
	return nil
}
