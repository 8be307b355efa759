package actor

import (
	"slices"
	"testing"
	"testing/synctest"
)

// Who asks for something stands in what comes of it, and in nothing that comes by itself.
func TestEventsSayWhoCausedThem(t *testing.T) {
	serving(t, func(l *life) {
		causes := func() (all []string) {
			synctest.Wait()
			l.w.do(func() {
				for _, e := range l.w.events {
					all = append(all, e.Event+"|"+e.By)
				}
				l.w.events = nil
			})
			return all
		}
		causes()
		if err := l.Do(l.Context(), Command{Action: "restart", By: "alice"}, nil); err != nil {
			l.Fatal(err)
		}
		if got := causes(); !slices.Contains(got, "asked|alice") || !slices.Contains(got, "took_over|alice") {
			l.Errorf("a restart is told as %q", got)
		}
		before := l.server()
		l.crash(crash)
		l.replaced(before)
		for _, e := range causes() {
			if e[len(e)-1] != '|' {
				l.Errorf("somebody is said to have caused %q", e)
			}
		}
		// A command that is refused causes nothing.
		if err := l.Do(l.Context(), Command{Action: "rollback", By: "bob"}, nil); err == nil {
			l.Error("there is a release to go back to")
		}
		if got := causes(); len(got) != 0 {
			l.Errorf("a refused command is told as %q", got)
		}
		if err := l.Do(l.Context(), Command{Action: "stop", By: "carol"}, nil); err != nil {
			l.Fatal(err)
		}
		if got := causes(); !slices.Equal(got, []string{"asked|carol", "stopping|carol"}) {
			l.Errorf("a stop is told as %q", got)
		}
		if err := l.Do(l.Context(), Command{Action: "start", By: "dave"}, nil); err != nil {
			l.Fatal(err)
		}
		if got := causes(); !slices.Contains(got, "asked|dave") || !slices.Contains(got, "recovered|dave") {
			l.Errorf("a start is told as %q", got)
		}
		before = l.server()
		l.crash(crash)
		l.replaced(before)
		for _, e := range causes() {
			if e[len(e)-1] != '|' {
				l.Errorf("somebody is said to have caused %q", e)
			}
		}
	})
}
