package machine

import (
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// How many histories are tried, unless -rapid.checks says otherwise. A failing one is shrunk and
// printed, with a seed that brings it back by -rapid.seed.
func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"rapid.checks":     strconv.Itoa(histories / 3),
		"rapid.nofailfile": "true", // nothing is left in the source tree
		"rapid.shrinktime": "10s",
	} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestInvariantsHoldInEveryHistory(t *testing.T) {
	t.Parallel()
	histories := rapid.SliceOfN(rapid.SliceOf(rapid.Uint64()), 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(func(history string) { t.Fatal(history) })
		w.through(slices.Concat(histories.Draw(t, "history")...))
	})
}

// through leads the world through a history and then to rest.
func (w *world) through(history []uint64) {
	w.cast(history)
	w.inherit(history)
	w.configure(false)
	w.live(history)
	w.heal()
	w.atRest()
}

// random is a history by its seed, longer than those of rapid and always the same.
func random(seed uint64) []uint64 {
	r := rand.New(rand.NewPCG(seed, 1))
	history := make([]uint64, r.IntN(150))
	for i := range history {
		history[i] = r.Uint64()
	}
	return history
}
