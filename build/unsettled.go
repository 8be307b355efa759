package build

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// unsettled remembers the files that changed during all copies of an application: something writes
// them without a pause, a log say. Nothing would ever be built if a copy had to wait for them, so
// after a while a release holds them as they were at one moment.
type unsettled struct {
	mu   sync.Mutex
	said map[string]span // by absolute path
}

// span is the time in which a file was found to be unsettled.
type span struct{ first, last time.Time }

const (
	// unsettledFor is how long a file must have been unsettled: one that is being copied into the
	// source is whole by then. Attempts that fail meanwhile name it.
	unsettledFor = 20 * time.Second
	// settledAfter is how long after it was last unsettled it counts as settled.
	settledAfter = 15 * time.Minute
)

// found records the keys of files that changed during all copies.
func (u *unsettled) found(keys []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.said == nil {
		u.said = map[string]span{}
	}
	maps.DeleteFunc(u.said, func(_ string, s span) bool { return now.Sub(s.last) > settledAfter })
	for _, key := range keys {
		s, ok := u.said[key]
		if !ok {
			s.first = now
		}
		s.last = now
		u.said[key] = s
	}
}

// all reports whether all of these files have been unsettled for long, and records that they still
// are.
func (u *unsettled) all(files []inputs.ChangedFile) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	var known []string
	for _, f := range files {
		before := len(known)
		for _, key := range f.Keys() {
			s, ok := u.said[key]
			if ok && now.Sub(s.first) >= unsettledFor && now.Sub(s.last) <= settledAfter {
				known = append(known, key)
			}
		}
		if len(known) == before {
			return false
		}
	}
	for _, key := range known {
		u.said[key] = span{u.said[key].first, now}
	}
	return true
}

// remarkUnsettled says what was copied of files that change without a pause.
func remarkUnsettled(files []inputs.ChangedFile) string {
	shown := files[0].Path
	if more := len(files) - 1; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return shown + " changes without a pause: the release holds it as it was at one moment. Your application, or another program, " +
		"writes into its own source; what it writes belongs under MEDCTRL_DATA (working_dir = \"{data}\" for relative paths)"
}
