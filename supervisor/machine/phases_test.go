package machine

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// arrow is a change of phase and the event that caused it.
type arrow struct {
	from, to Phase
	cause    string
}

// enough is how many histories are tried even if all arrows were seen before.
const enough = 10_000

func TestPhasesGoAsDrawn(t *testing.T) {
	t.Parallel()
	drawn, seen := arrowsOf(t, "state.go"), map[arrow]bool{}
	begun, tried, steps := time.Now(), 0, 0
	for seed := range uint64(histories) {
		if seed >= enough && len(seen) == len(drawn) {
			break // what is seen is drawn, or the test fails: none is missing
		}
		w := newWorld(func(history string) { t.Fatalf("seed %d: %s", seed, history) })
		w.seen = func(from, to Phase, cause Event) { seen[arrow{from, to, name(cause)}] = true }
		w.through(random(seed))
		tried, steps = tried+1, steps+w.steps
	}
	t.Logf("%d histories, %d steps, %.0f a second", tried, steps, float64(steps)/time.Since(begun).Seconds())
	for a := range seen {
		if !drawn[a] {
			t.Errorf("%s -> %s by %s is not drawn", a.from, a.to, a.cause)
		}
	}
	for a := range drawn {
		if !seen[a] && !raced {
			t.Errorf("%s -> %s by %s was never seen", a.from, a.to, a.cause)
		}
	}
}

// arrowsOf reads lines like `//   running, unhealthy -> starting   Exited, Timer`.
func arrowsOf(t *testing.T, file string) map[arrow]bool {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	arrows := map[arrow]bool{}
	line := regexp.MustCompile(`(?m)^//\t([a-z, ]+) -> ([a-z]+) +([A-Za-z, ]+)$`)
	for _, m := range line.FindAllStringSubmatch(string(source), -1) {
		for _, from := range listed(m[1]) {
			for _, cause := range listed(m[3]) {
				a := arrow{Phase(from), Phase(m[2]), cause}
				if arrows[a] {
					t.Errorf("%s -> %s by %s is drawn twice", a.from, a.to, a.cause)
				}
				arrows[a] = true
			}
		}
	}
	return arrows
}

func listed(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
