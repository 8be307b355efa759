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
