package config

import (
	"fmt"
	"strings"
)

// Near returns the known name that was probably meant, as «; did you mean "x"?», to be appended to
// an error, or "" if none is near.
func Near(name string, known []string) string {
	best, distance := "", 3
	if len(name) > 64 {
		// no name is that long, and the comparison takes time in the product of the lengths
		return ""
	}
	for _, k := range known {
		limit := min(distance, max(len(k)/2, 2))
		if d := edits(strings.ToLower(name), k); d < limit {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// edits returns how many letters must be added, removed, changed or swapped with their neighbour to
// turn a into b (optimal string alignment).
func edits(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now := make([]int, len(b)+1)
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
