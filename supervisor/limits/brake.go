package limits

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// brake slows a tree down that comes near its limit of memory (memory.high), so that the kernel takes
// back what it can before it kills. A tree that has nothing to give back would be slowed down for good:
// measured, one that eats memory stands still at 90 % for minutes, serves nothing, and is never killed.
// So the brake is on while it helps, and off when it has not for a while: then the limit decides.
type brake struct {
	on    bool
	since time.Time // when the tree was first seen at the brake; zero: it is below
}

const (
	// highShare is the part of the limit at which the brake works, and lowShare the one below which it is
	// put on again.
	highShare = 0.9
	lowShare  = 0.8
	// patience is how long a tree may be kept at the brake.
	patience = 4 * time.Second
)

// look puts the brake on or off. A file that cannot be written or read costs the brake alone.
func (b *brake) look(dir string, limit uint64, now time.Time) {
	text, err := os.ReadFile(filepath.Join(dir, "memory.current"))
	if err != nil {
		return
	}
	used, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return
	}
	high := uint64(float64(limit) * highShare)
	switch {
	case !b.on:
		if used < uint64(float64(limit)*lowShare) {
			b.on = write(filepath.Join(dir, "memory.high"), strconv.FormatUint(high, 10)) == nil
			b.since = time.Time{}
		}
	case used < high-high/50: // at the brake a tree is a little below or above it
		b.since = time.Time{}
	case b.since.IsZero():
		b.since = now
	case now.Sub(b.since) >= patience:
		b.on = write(filepath.Join(dir, "memory.high"), unlimited) != nil
	}
}
