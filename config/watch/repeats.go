package watch

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// repeats recognises files that change again and again: written by what is made of them, which would
// be made for ever, or by another program. They are called restless. Their changes
// are told at growing intervals, and delay nothing else. The zero repeats knows none.
//
// A person who saves a file again and again must not be taken for one of them. So it counts whether
// the file is of a kind that people edit, and whether it changes while something is being made of
// the tree.
type repeats struct {
	files map[string]*repeat
	since map[string]bool                 // files touched since the last telling, and whether that was odd
	named map[string]bool                 // files that were touched because they are named
	names map[string]map[string]time.Time // by folder the names in it, and when each came; zero: it was there
	moved bool                            // other files are restless than when moved was last reset
}

// repeat is a file, or, with a slash at its end, what is made in a folder under ever new names.
type repeat struct {
	odd, fast, slow int           // how often it changed in a row, see limits
	counted         time.Time     // when that was last counted
	touched         time.Time     // when it last changed
	told            time.Time     // when that was last told, once it is restless
	every           time.Duration // between two tellings; zero: it is not restless
}

// A file is restless after so many changes in a row, of which one is counted for each telling.
const (
	oddLimit  = 4  // within fastGap, and people do not write such a file, or not at such a time
	slowLimit = 20 // the same within slowGap
	fastLimit = 10 // within fastGap, whatever the file; here one is counted each second, told or not
	fastGap   = 10 * time.Second
	slowGap   = 2 * time.Minute

	// patienceFactor is how many times more it takes for a folder in which the names change, and for
	// a file that is named: people edit those most.
	patienceFactor = 2
	// fewFiles is how many files change together at most if one of them is to count: a checkout or a
	// copy of more is no repetition.
	fewFiles = 100
)

// Restless files are told at intervals from everyMin to everyMax, and are forgotten when they have
// not changed for calmAfter, or for two intervals where that is longer.
const (
	everyMin  = 5 * time.Second
	everyMax  = 5 * time.Minute
	calmAfter = time.Minute
)

// touch records that a file has changed, while something is made of its tree or not. It reports
// whether it is a restless one.
func (r *repeats) touch(path string, now time.Time, making bool) bool {
	switch folder := filepath.Dir(path) + "/"; {
	case !edited(path):
		return r.record(now, true, path, folder)
	case r.came(path, now):
		// Once for each telling: files that come one after the other are a copy.
		if f := r.files[folder]; f != nil && f.every > 0 {
			f.touched = now
			return true
		}
		known := r.record(now, making, path)
		if _, again := r.since[folder]; !again && len(r.since) <= 2*fewFiles {
			r.since[folder] = making
		}
		return known
	}
	return r.record(now, making, path)
}

// namesKept is how many names of a folder are remembered; in one that has more nobody looks.
const namesKept = 1000

// came reports whether a file has come under a new name a moment ago. Saving one is no such thing, however
// an editor does it.
func (r *repeats) came(path string, now time.Time) bool {
	folder, name := filepath.Split(path)
	if _, known := r.names[folder]; !known {
		if r.names == nil || len(r.names) > fewFiles {
			r.names = map[string]map[string]time.Time{}
		}
		names := map[string]time.Time{}
		entries, _ := os.ReadDir(folder) // where that cannot be read it is as if nothing had been there
		for _, e := range entries {
			names[e.Name()] = time.Time{}
		}
		r.names[folder] = names
	}
	names := r.names[folder]
	if len(names) > namesKept {
		return false
	}
	at, known := names[name]
	if !known {
		at = now
		names[name] = at
	}
	return now.Sub(at) < fastGap
}

// touchNamed is touch for a file that is named: people edit those, whatever they are called.
func (r *repeats) touchNamed(path string, now time.Time, making bool) bool {
	if r.named == nil {
		r.named = map[string]bool{}
	}
	r.named[path] = true
	return r.record(now, making, path)
}

// dropUnnamed forgets the files that were not named, and reports whether one of them was restless.
func (r *repeats) dropUnnamed() (restless bool) {
	for key, f := range r.files {
		if !r.named[key] {
			restless = restless || f.every > 0
			delete(r.files, key)
		}
	}
	return restless
}

// record records that what the keys stand for has changed, which is odd or not. It reports whether
// it is restless.
func (r *repeats) record(now time.Time, odd bool, keys ...string) bool {
	for _, key := range keys {
		if f := r.files[key]; f != nil && f.every > 0 {
			f.touched = now
			return true
		}
	}
	if r.files == nil {
		r.files, r.since = map[string]*repeat{}, map[string]bool{}
	}
	known := false
	for _, key := range keys {
		_, again := r.since[key]
		if !again && len(r.since) > 2*fewFiles {
			continue
		}
		r.since[key] = r.since[key] || odd
		if again {
			known = r.again(key, now) || known
		}
	}
	return known
}

// again counts a file that changes for longer than a telling waits.
func (r *repeats) again(key string, now time.Time) (isRestless bool) {
	f := r.files[key]
	if f == nil {
		f = &repeat{counted: now}
		r.files[key] = f
	}
	switch gap := now.Sub(f.counted); {
	case gap > fastGap:
		f.odd, f.fast, f.counted = 0, 0, now
	case gap >= time.Second:
		f.fast++
		f.counted = now
	}
	r.judge(key, f, now)
	return f.every > 0
}

// told records that everything was told.
func (r *repeats) told(now time.Time) {
	for key, odd := range r.since {
		if len(r.since) <= fewFiles {
			r.count(key, odd, now)
		} else {
			delete(r.files, key)
		}
	}
	clear(r.since)
	for key, f := range r.files {
		switch {
		case f.every == 0 && now.Sub(f.counted) > slowGap:
			delete(r.files, key)
		case f.every > 0 && f.touched.After(f.told):
			if now.Sub(f.told) >= f.every {
				f.every = min(2*f.every, everyMax)
			}
			f.told = now
		}
	}
}

func (r *repeats) count(key string, odd bool, now time.Time) {
	f := r.files[key]
	if f == nil {
		f = &repeat{}
		r.files[key] = f
	}
	gap := now.Sub(f.counted)
	f.counted = now
	if gap > fastGap {
		f.odd, f.fast = 0, 0
	}
	if gap > slowGap {
		f.slow = 0
	}
	f.fast++
	if odd {
		f.odd, f.slow = f.odd+1, f.slow+1
	} else {
		f.odd, f.slow = 0, 0
	}
	r.judge(key, f, now)
}

// judge makes a file restless that has changed often enough.
func (r *repeats) judge(key string, f *repeat, now time.Time) {
	factor, slow := 1, slowLimit
	if strings.HasSuffix(key, "/") || r.named[key] {
		factor = patienceFactor
	}
	if strings.HasSuffix(key, "/") {
		slow *= patienceFactor
	}
	if f.every == 0 && (f.odd >= oddLimit*factor || f.fast >= fastLimit*factor || f.slow >= slow) {
		f.every, f.told, f.touched, r.moved = everyMin, now, now, true
	}
}

// due returns when changes of restless files are to be told, or when one of them is to be looked at
// because it may have calmed down; zero for never.
func (r *repeats) due() (at time.Time) {
	for _, f := range r.files {
		if f.every > 0 {
			at = earlier(at, f.next())
		}
	}
	return at
}

func (f *repeat) next() time.Time {
	if f.touched.After(f.told) {
		return f.told.Add(f.every)
	}
	return f.calm()
}

func (f *repeat) calm() time.Time { return f.touched.Add(max(calmAfter, 2*f.every)) }

// pass reports whether changes of restless files are due, and forgets the files that have calmed
// down.
func (r *repeats) pass(now time.Time) (due bool) {
	for key, f := range r.files {
		switch {
		case f.every == 0:
		case f.touched.After(f.told):
			due = due || !now.Before(f.told.Add(f.every))
		case !now.Before(f.calm()):
			delete(r.files, key)
			r.moved = true
		}
	}
	return due
}

// restless returns the restless files, sorted.
func (r *repeats) restless() []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(r.files)) {
		if f := r.files[key]; f.every > 0 {
			all = append(all, key)
		}
	}
	return all
}

// edited reports whether people edit files of that name.
func edited(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".py", ".pyi", ".html", ".htm", ".txt", ".md", ".rst", ".css", ".scss", ".sass", ".less", ".svg",
		".js", ".mjs", ".ts", ".jsx", ".tsx", ".vue", ".json", ".xml", ".sql", ".sh", ".po",
		".toml", ".ini", ".cfg", ".conf", ".yaml", ".yml":
		return true
	}
	return false
}
