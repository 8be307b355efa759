//go:build race

package machine

// The race detector makes everything ten times slower; there is nothing to race here, so fewer
// histories are enough.
const (
	raced     = true
	histories = 3_000
)
