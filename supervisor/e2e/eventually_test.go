package e2e

import (
	"testing"
	"time"
)

// Eventually calls holds every 10 ms until it returns true, and ends the test with the last text
// from holds if that takes longer than limit.
func Eventually(t testing.TB, limit time.Duration, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		ok, said := holds()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waited %v for %s: %s", limit, what, said)
		case <-again.C:
		}
	}
}

// patience is the limit for things that are immediate on a quiet machine.
const patience = 20 * time.Second
