package e2e

import (
	"testing"
	"time"
)

// Eventually calls holds until it returns true, and ends the test with the last text from holds if
// that takes longer than limit. It asks every 10 ms at first, and then every 50 ms, so that what is
// waited for has the processors.
func Eventually(t testing.TB, limit time.Duration, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for n := 1; ; n++ {
		if n == 50 {
			again.Reset(50 * time.Millisecond)
		}
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
