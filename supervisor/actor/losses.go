package actor

import (
	"slices"
	"sync"
)

// losses are what may have cost a client its request, in the order in which it happened: what a
// deploy must not be silent about.
type losses struct {
	mu  sync.Mutex
	n   int      // of all
	all []string // the last ones
}

// mostLosses is how many are remembered.
const mostLosses = 16

// add records one, in a sentence.
func (l *losses) add(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	l.all = append(l.all, what)
	l.all = l.all[max(len(l.all)-mostLosses, 0):]
}

// mark is the moment before those that are to come, for since.
func (l *losses) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// since returns those that came after a mark, each once.
func (l *losses) since(mark int) (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, what := range l.all[len(l.all)-min(l.n-mark, len(l.all)):] {
		if !slices.Contains(all, what) {
			all = append(all, what)
		}
	}
	return all
}
