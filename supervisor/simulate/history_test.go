package simulate

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What a run of histories is told by the environment.
const (
	countKey = "N"    // how many
	seedKey  = "SEED" // the first seed; otherwise the date's, so that each day has histories of its own
	tellKey  = "TELL" // not empty: each story is told
	sameKey  = "SAME" // how many are lived again, twice each
	shardKey = "SIMULATE_SHARD"
)

// usualSame is how many are lived again where nobody says how many; `make test` says more.
const usualSame = 30

// TestHistories lives histories of an hour. One that breaks a promise is told, and can be lived
// again by its seed alone.
func TestHistories(t *testing.T) {
	n := number(countKey, usual)
	today := time.Now().UTC()
	first := number(seedKey, uint64(today.Year()*10_000+int(today.Month())*100+today.Day())*1_000_000)
	t.Logf("%d histories from seed %d on", n, first)
	begun := time.Now()
	for _, output := range inShards(t, "TestShardOfHistories", countKey+"="+fmt.Sprint(n), seedKey+"="+fmt.Sprint(first)) {
		if strings.Contains(output, "--- FAIL") || os.Getenv(tellKey) != "" {
			t.Error(output)
		}
	}
	t.Logf("%v each", (time.Since(begun) / time.Duration(max(n, 1))).Round(10*time.Microsecond))
}

// inShards runs a test of this package once for each processor, in programs of their own: in one
// that has a single processor for Go, goroutines run in the same order each time, as far as that
// goes, and so a seed gives the same story.
func inShards(t *testing.T, test string, env ...string) []string {
	t.Helper()
	shards := runtime.NumCPU()
	outputs := make([]string, shards)
	var all sync.WaitGroup
	for i := range shards {
		all.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.timeout=60m")
			cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMEMLIMIT=512MiB", fmt.Sprintf("%s=%d/%d", shardKey, i, shards))
			cmd.Env = append(cmd.Env, env...)
			output, err := cmd.CombinedOutput()
			outputs[i] = string(bytes.TrimSpace(output))
			if err != nil && !strings.Contains(outputs[i], "--- FAIL") {
				t.Errorf("shard %d: %v\n%s", i, err, outputs[i])
			}
		})
	}
	all.Wait()
	return outputs
}

// shard returns which of how many shards this program is; a test that is not run in one is skipped.
func shard(t *testing.T) (i, of int) {
	t.Helper()
	if _, err := fmt.Sscanf(os.Getenv(shardKey), "%d/%d", &i, &of); err != nil {
		t.Skip("is run by another test, in a program of its own")
	}
	return i, of
}

// TestShardOfHistories is a part of TestHistories.
func TestShardOfHistories(t *testing.T) {
	i, of := shard(t)
	first, n := number(seedKey, 1), number(countKey, 0)
	failed := 0
	for seed := first + uint64(i); seed < first+n; seed += uint64(of) {
		h := planned(seed)
		w := lived(t, h, nil)
		if os.Getenv(tellKey) != "" {
			fmt.Printf("seed %d\n%s%s", seed, w.story.String(), w.describe())
		}
		if len(w.broken) == 0 {
			continue
		}
		failed++
		switch {
		case failed == 1:
			t.Error(told(t, h, w))
		case failed <= 10:
			t.Errorf("seed %d as well: %v", seed, w.broken[0])
		}
	}
	if failed > 0 {
		t.Errorf("%d histories broke a promise", failed)
	}
}

// lived lets a history happen in a bubble of its own. Garbage is collected between two, as far as
// that goes: in one, the collector preempts goroutines.
func lived(t *testing.T, h *history, p plant) (w *World) {
	t.Helper()
	if h.seed%16 == 0 {
		runtime.GC()
	}
	synctest.Test(t, func(*testing.T) { w = h.live(p) })
	return w
}

// shrinkTries bounds how long it takes to shrink a history.
const shrinkTries = 300

// told is a failing history as a person reads it: as little of it as still breaks the promise.
func told(t *testing.T, h *history, w *World) string {
	t.Helper()
	promise := w.broken[0].Promise
	small, its := h, w
	h.shrunk(func(next *history) bool {
		w := lived(t, next, nil)
		fails := len(w.broken) > 0 && w.broken[0].Promise == promise
		if fails {
			small, its = next, w
		}
		return fails
	}, shrinkTries)
	var plan strings.Builder
	for _, a := range small.plan {
		fmt.Fprintf(&plan, "  %v\n", a)
	}
	return fmt.Sprintf("seed %d breaks a promise, %v\n\nThe machine: %+v\n%s\nWhat was done to it (of %d things, those that it takes):\n%s\nWhat happened:\n%s\nAgain: make simulate SEED=%d N=1",
		h.seed, its.broken[0], its.traits, its.describe(), len(h.plan), plan.String(), its.story.last(80), h.seed)
}

func number(key string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(key), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// TestSameSeedSameStory holds that a seed is a history. On a busy machine a goroutine is preempted now
// and then, so a few that differ are not yet a failure.
func TestSameSeedSameStory(t *testing.T) {
	if !replays {
		t.Skip("with the race detector goroutines run in a random order (Go's runtime: randomizeScheduler)")
	}
	same, differ := 0, 0
	for _, output := range inShards(t, "TestShardOfSameStories") {
		var s, d int
		if i := strings.Index(output, "stories:"); i < 0 {
			t.Error(output)
		} else if _, err := fmt.Sscanf(output[i:], "stories: %d the same, %d not", &s, &d); err != nil {
			t.Error(err)
		}
		same, differ = same+s, differ+d
	}
	t.Logf("%d stories are told again as before, %d are not", same, differ)
	if differ > (same+differ)/30 {
		t.Errorf("%d of %d histories differ when they are lived again", differ, same+differ)
	}
}

// TestShardOfSameStories is a part of TestSameSeedSameStory.
func TestShardOfSameStories(t *testing.T) {
	i, of := shard(t)
	same, differ := 0, 0
	for seed := uint64(i) + 1; seed <= number(sameKey, usualSame); seed += uint64(of) {
		first := lived(t, planned(seed), nil)
		for range 2 {
			if again := lived(t, planned(seed), nil); again.story.Sum() == first.story.Sum() {
				same++
			} else {
				differ++
				t.Logf("seed %d: %s", seed, firstDifference(&first.story, &again.story))
			}
		}
	}
	t.Logf("stories: %d the same, %d not", same, differ)
}

// firstDifference is where two stories part, each moment by itself.
func firstDifference(a, b *story) string {
	for i := range min(len(a.moments), len(b.moments)) {
		if a.moments[i] != b.moments[i] && a.moments[i].at != b.moments[i].at {
			return fmt.Sprintf("first\n%sand then\n%s", (&story{moments: a.moments[max(0, i-3) : i+1]}).String(), (&story{moments: b.moments[max(0, i-3) : i+1]}).String())
		}
	}
	for i, m := range a.moments { // something that happened at the same instant
		if !slices.Contains(b.moments, m) {
			return fmt.Sprintf("first\n%sand then not, but\n%s", (&story{moments: a.moments[i : i+1]}).String(), (&story{moments: b.moments[min(i, len(b.moments)):min(i+1, len(b.moments))]}).String())
		}
	}
	return "in length"
}
