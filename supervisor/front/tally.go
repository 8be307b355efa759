package front

import (
	"slices"
	"sync/atomic"
	"time"
)

// waits are the bounds of the histogram of how long builds took to respond.
var waits = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// Classes are what responses are counted by. Nothing else that a client or a build sends tells one
// count from another: what is counted does not grow with them.
var Classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx", "gone"}

// gone is the class of a request whose client left before its build responded.
const gone = len(Classes) - 1

// Served is what became of the requests of one build since it was first routed.
type Served struct {
	Codes [len(Classes)]uint64 // responses, by class
	Cut   uint64               // of them that broke off after they had begun, because the build did

	// How long the build took to begin its response, from when it was passed the whole request: how
	// fast clients send and take is not in it.
	Waits []time.Duration        // the bounds
	Took  [len(waits) + 1]uint64 // requests that took at most as long as the bound of that place, and longer than the one before; the last: longer than all
	Sum   time.Duration          // of all
}

// tally counts the requests of one build. It is found with the route, and takes no lock.
type tally struct {
	codes  [len(Classes)]atomic.Uint64
	took   [len(waits) + 1]atomic.Uint64
	sum    atomic.Int64
	cut    atomic.Uint64
	failed atomic.Uint64 // refused or lost
}

// responded counts a response, once for each request: by its status, and how long it took if the
// request was passed on.
func (t *target) responded(status int) {
	class := 0
	if status >= 100 && status < 600 {
		class = status / 100
	}
	t.ended(class)
}

// left counts a request whose client went away.
func (t *target) left() { t.ended(gone) }

func (t *target) ended(class int) {
	if t.counted || t.served == nil {
		return
	}
	t.counted = true
	t.served.codes[class].Add(1)
	if t.passed.IsZero() {
		return
	}
	took := time.Since(t.passed)
	at := 0
	for at < len(waits) && took > waits[at] {
		at++
	}
	t.served.took[at].Add(1)
	t.served.sum.Add(int64(took))
}

// fail counts a request that was refused or lost, of which there is also a count of all builds.
func (t *target) fail(all *atomic.Uint64) {
	all.Add(1)
	if t.served != nil {
		t.served.failed.Add(1)
	}
}

// Served returns what became of the requests of each build that is routed.
func (f *Front) Served() map[string]Served {
	table := *f.table.Load()
	all := make(map[string]Served, len(table))
	for _, r := range table {
		now := Served{Waits: slices.Clone(waits[:]), Cut: r.served.cut.Load(), Sum: time.Duration(r.served.sum.Load())}
		for i := range r.served.codes {
			now.Codes[i] = r.served.codes[i].Load()
		}
		for i := range r.served.took {
			now.Took[i] = r.served.took[i].Load()
		}
		all[r.Build] = now
	}
	return all
}

// Failed returns how many requests of a build were refused or lost since it was first routed.
func (f *Front) Failed(build string) uint64 {
	for _, r := range *f.table.Load() {
		if r.Build == build {
			return r.served.failed.Load()
		}
	}
	return 0
}
