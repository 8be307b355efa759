package simulate

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// liveOne lets a history happen in a bubble of its own.
func liveOne(t *testing.T, h *history, p plant) (w *World) {
	synctest.Test(t, func(*testing.T) { w = h.live(p) })
	return w
}

// A seed is a history: the same one happens each time.
func TestSameSeedSameStory(t *testing.T) {
	first, n := number("SEED", 1), number("N", 5)
	for seed := first; seed < first+n; seed++ {
		var w *World
		for range 10 {
			again := liveOne(t, planned(seed), nil)
			if w != nil && w.story.Sum() != again.story.Sum() {
				i := 0
				for i < len(w.story.moments) && i < len(again.story.moments) && w.story.moments[i] == again.story.moments[i] {
					i++
				}
				cut := func(s story) string {
					return (&story{moments: s.moments[max(0, min(i-8, len(s.moments))):min(len(s.moments), i+8)]}).String()
				}
				t.Errorf("seed %d: two stories, first\n%sand then\n%s", seed, cut(w.story), cut(again.story))
				break
			}
			w = again
		}
	}
}

func number(key string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(key), 10, 64); err == nil {
		return n
	}
	return otherwise
}

func TestHistories(t *testing.T) {
	begun := time.Now()
	failed := 0
	first, n := number("SEED", 1), number("N", 20)
	for seed := first; seed < first+n; seed++ {
		h := planned(seed)
		w := liveOne(t, h, nil)
		if os.Getenv("TELL") != "" {
			fmt.Print(w.story.String())
			fmt.Println(w.describe(), w.work, w.clients)
		}
		if len(w.broken) > 0 {
			failed++
			t.Errorf("seed %d: %v", seed, w.broken)
		}
	}
	took := time.Since(begun)
	t.Logf("%d histories, %d failed, %v each", n, failed, took/time.Duration(n))
}
