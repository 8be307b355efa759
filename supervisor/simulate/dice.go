package simulate

import "time"

// throw names what dice are thrown for.
type throw int

const (
	throwPort throw = iota // how long a call takes
	throwBoot
	throwReady
	throwService
	throwFate
	throwExit
	throwOrphan
	throwPid
	throwStep
	throwSave
	throwScan
	throwLeave
	throwHook
	throwTouch
	throwStatics
	throwRun
	throwTidy
	throws
)

// dice decide what is left open, for one build or for the machine. A throw depends on the seed, on
// what it is for and on how often that was thrown for before, and on nothing else: so the order in
// which goroutines run changes no decision.
type dice struct {
	seed   uint64
	thrown [throws]uint64
}

func newDice(seed uint64, owner string) dice { return dice{seed: mix(seed ^ hash(owner))} }

// of returns dice of one of several things of an owner: what happens at the same instant to another
// changes nothing for it.
func (d *dice) of(n int) dice { return dice{seed: mix(d.seed + uint64(n)<<16)} }

func (d *dice) next(k throw) uint64 {
	d.thrown[k]++
	return mix(mix(d.seed+uint64(k)) + d.thrown[k])
}

// between returns a time from lo up to hi, to the nanosecond: so hardly anything happens at the
// same instant as something else.
func (d *dice) between(k throw, lo, hi time.Duration) time.Duration {
	return spread(d.next(k), lo, hi)
}

// oneIn is true once in n throws.
func (d *dice) oneIn(k throw, n int) bool { return d.next(k)%uint64(n) == 0 }

func spread(x uint64, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(x%uint64(hi-lo))
}

// mix scrambles x (splitmix64, Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash is FNV-1a.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}
