package simulate

import "slices"

// without returns the history without some of its acts.
func (h *history) without(from, to int) *history {
	next := *h
	next.plan = slices.Delete(slices.Clone(h.plan), from, to)
	return &next
}

// shrunk leaves out what a history can do without, as long as it fails: first halves, then ever
// smaller pieces. tries bounds how often it is tried.
func (h *history) shrunk(fails func(*history) bool, tries int) *history {
	for size := len(h.plan) / 2; size > 0; size /= 2 {
		for from := 0; from < len(h.plan); {
			next := h.without(from, min(from+size, len(h.plan)))
			if tries--; tries < 0 {
				return h
			}
			if fails(next) {
				h = next
			} else {
				from += size
			}
		}
	}
	return h
}
