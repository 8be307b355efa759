package config

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"
)

// Target is a set of files and folders whose changes are told under one ID.
type Target struct {
	ID    string
	Files []string
	Trees []string // everything in and below these
}

const (
	quiet     = 200 * time.Millisecond // as long as nothing more must happen before a change is told
	restless  = time.Second            // told after that all the same
	pollEvery = time.Second
)

// Watcher tells when files are touched: replaced, renamed over, written, linked
// anew, removed or made. It watches folders, not files: editors rename and
// config maps swap links. What the contents say is for the caller to find out.
//
// Where a folder cannot be watched (fs.inotify limits, network file systems) it
// looks at its files every second instead, and says so in the log.
type Watcher struct {
	log    hclog.Logger
	notify *fsnotify.Watcher // nil: inotify cannot be had at all
	set    chan []Target
	out    chan []string
	stop   chan struct{}
	done   chan struct{}

	// Of the goroutine.
	targets []Target
	folders map[string]bool // watched
	of      map[string]map[string][]string
	polled  map[string]string // by ID: what its files looked like
	pending map[string]bool
}

// NewWatcher begins to watch; Set says what.
func NewWatcher(log hclog.Logger) (*Watcher, error) {
	w := &Watcher{
		log: log, set: make(chan []Target), out: make(chan []string),
		stop: make(chan struct{}), done: make(chan struct{}),
		folders: map[string]bool{}, polled: map[string]string{}, pending: map[string]bool{},
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("files cannot be watched, they are looked at every second", "error", err)
	} else {
		w.notify = notify
	}
	go w.run()
	return w, nil
}

// Set replaces what is watched.
func (w *Watcher) Set(targets []Target) {
	select {
	case w.set <- targets:
	case <-w.done:
	}
}

// C delivers the sorted IDs of targets that were touched, when it has been
// quiet for 200 ms, at the latest after a second.
func (w *Watcher) C() <-chan []string { return w.out }

// Close ends watching.
func (w *Watcher) Close() error {
	close(w.stop)
	<-w.done
	if w.notify == nil {
		return nil
	}
	if err := w.notify.Close(); err != nil {
		return fmt.Errorf("stop watching files: %w", err)
	}
	return nil
}

func (w *Watcher) run() {
	defer close(w.done)
	var events chan fsnotify.Event
	var errs chan error
	if w.notify != nil {
		events, errs = w.notify.Events, w.notify.Errors
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	poll.Stop()
	var due <-chan time.Time
	var first time.Time // of what is pending
	var out chan []string
	var ready []string
	touch := func(ids ...string) {
		for _, id := range ids {
			w.pending[id] = true
		}
		if len(ids) == 0 {
			return
		}
		if first.IsZero() {
			first = time.Now()
		}
		due = time.After(min(quiet, time.Until(first.Add(restless))))
	}
	for {
		select {
		case <-w.stop:
			return
		case w.targets = <-w.set:
			w.watch()
			if len(w.polled) > 0 {
				poll.Reset(pollEvery)
			} else {
				poll.Stop()
			}
		case e := <-events:
			if e.Op != fsnotify.Chmod {
				touch(w.touchedBy(e.Name)...)
			}
		case err := <-errs:
			// An overflow of the kernel's queue: anything may have changed.
			w.log.Debug("watching files hit an error, all are looked at", "error", err)
			touch(w.all()...)
		case <-poll.C:
			touch(w.looked()...)
		case <-due:
			due, first = nil, time.Time{}
			for _, id := range ready {
				w.pending[id] = true
			}
			ready = slices.Sorted(maps.Keys(w.pending))
			clear(w.pending)
			out = w.out
			w.watch() // folders may have come or gone
		case out <- ready:
			out, ready = nil, nil
		}
	}
}

func (w *Watcher) all() []string {
	var ids []string
	for _, t := range w.targets {
		ids = append(ids, t.ID)
	}
	return ids
}

// touchedBy answers the IDs that an event on path is about.
func (w *Watcher) touchedBy(path string) []string {
	folder, name := filepath.Split(path)
	names := w.of[filepath.Clean(folder)]
	if noise(name) && len(names[name]) == 0 {
		return nil
	}
	return append(slices.Clone(names[name]), names[""]...)
}

// noise is what editors and Python leave beside a file.
func noise(name string) bool {
	return name == ".git" || name == "__pycache__" || name == "node_modules" || name == "4913" ||
		strings.HasSuffix(name, ".pyc") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") ||
		strings.HasSuffix(name, ".swx") || strings.HasPrefix(name, ".#")
}

// watch brings the watched folders in line with the targets and with what is on
// the disk now.
func (w *Watcher) watch() {
	w.of = map[string]map[string][]string{}
	failed := map[string]bool{}
	for _, t := range w.targets {
		for _, file := range t.Files {
			w.follow(file, t.ID, 0)
		}
		for _, tree := range t.Trees {
			w.follow(tree, t.ID, 0)
			w.tree(tree, t.ID)
		}
	}
	for folder := range w.folders {
		if w.of[folder] == nil {
			_ = w.notify.Remove(folder) // it may be gone already, which is as good
			delete(w.folders, folder)
		}
	}
	for folder, names := range w.of {
		// Anew each time: a folder that was removed and made again has lost its
		// watch, and adding one that is there costs nothing.
		if err := w.add(folder); err != nil {
			for _, ids := range names {
				for _, id := range ids {
					failed[id] = true
				}
			}
			if w.notify != nil && !w.folders[folder] {
				w.log.Debug("folder cannot be watched", "folder", folder, "error", err)
			}
			continue
		}
		w.folders[folder] = true
	}
	for id := range w.polled {
		if !failed[id] {
			delete(w.polled, id)
		}
	}
	for id := range failed {
		if _, ok := w.polled[id]; !ok {
			if w.notify != nil {
				w.log.Warn("files cannot be watched, they are looked at every second; a higher fs.inotify.max_user_watches may help", "build", id)
			}
			w.polled[id] = w.look(id)
		}
	}
}

func (w *Watcher) add(folder string) error {
	if w.notify == nil {
		return fsnotify.ErrClosed
	}
	return w.notify.Add(folder)
}

// follow wants path watched in its folder, and what it leads to where it, or a
// folder on the way, is a link. Where the folder is missing, its nearest parent.
func (w *Watcher) follow(path, id string, links int) {
	for at := path; ; at = filepath.Dir(at) {
		folder := filepath.Dir(at)
		if _, err := os.Stat(folder); err == nil {
			w.want(folder, filepath.Base(at), id)
		}
		if folder == at {
			break
		}
		info, err := os.Lstat(at)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && links < 8 {
			if to, err := os.Readlink(at); err == nil {
				if !filepath.IsAbs(to) {
					to = filepath.Join(folder, to)
				}
				rest, _ := filepath.Rel(at, path) // path begins with at
				w.follow(filepath.Join(to, rest), id, links+1)
			}
		}
		if err == nil && info.Mode()&fs.ModeSymlink == 0 && at != path {
			break // a real folder above it: what is further up does not move
		}
	}
}

func (w *Watcher) want(folder, name, id string) {
	if w.of[folder] == nil {
		w.of[folder] = map[string][]string{}
	}
	if !slices.Contains(w.of[folder][name], id) {
		w.of[folder][name] = append(w.of[folder][name], id)
	}
}

// tree wants every folder of a tree watched.
func (w *Watcher) tree(root, id string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went meanwhile, and its folder tells
		}
		if d.IsDir() {
			if noise(d.Name()) && path != root {
				return filepath.SkipDir
			}
			w.want(path, "", id)
		}
		return nil
	})
}

// looked answers the IDs whose files look different from the last time.
func (w *Watcher) looked() []string {
	var ids []string
	for id, before := range w.polled {
		if now := w.look(id); now != before {
			w.polled[id] = now
			ids = append(ids, id)
		}
	}
	return ids
}

// look answers what the files of a target look like, without reading them.
func (w *Watcher) look(id string) string {
	var s strings.Builder
	stat := func(path string) {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&s, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	for _, t := range w.targets {
		if t.ID != id {
			continue
		}
		for _, file := range t.Files {
			stat(file)
		}
		for _, tree := range t.Trees {
			_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return nil // gone meanwhile
				}
				if d.IsDir() && noise(d.Name()) && path != tree {
					return filepath.SkipDir
				}
				if !d.IsDir() && !noise(d.Name()) {
					stat(path)
				}
				return nil
			})
		}
	}
	return s.String()
}
