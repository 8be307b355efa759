package actor

import (
	"strings"
	"testing"
)

func TestSecondRollbackGoesFurtherBackAndNotForward(t *testing.T) {
	serving(t, func(l *life) {
		l.change("second")
		l.serves("r2")
		l.change("third")
		l.serves("r3")
		l.does(Command{Action: "rollback"}, "")
		if now := l.View().State.Serving.Version.Release; now != "r2" {
			l.Errorf("release %s serves, want r2", now)
		}
		l.does(Command{Action: "rollback"}, "")
		if now := l.View().State.Serving.Version.Release; now != "r1" {
			l.Errorf("release %s serves, want r1", now)
		}
		l.does(Command{Action: "rollback"}, "no release before this one")
	})
}

func TestRollbackTakesABeginningThatOnlyOneReleaseHas(t *testing.T) {
	serving(t, func(l *life) {
		l.change("second")
		l.serves("r2")
		l.does(Command{Action: "rollback", To: "r"}, "release r is ambiguous: it may be r1, r2; write more of it")
		if now := l.View().State.Release; now != "r2" {
			l.Errorf("release %s is to serve after a rollback that was refused", now)
		}
	})
	kept := []string{"20261123T101502-9f3c2a", "20261123T101502-9f3c2a1", "20261124T080000-000000"}
	for wanted, want := range map[string]string{
		"20261124":               "20261124T080000-000000",
		"20261123T101502-9f3c2a": "20261123T101502-9f3c2a", // the whole of a name, though another begins so
		"20261123":               "ambiguous: it may be 20261123T101502-9f3c2a, 20261123T101502-9f3c2a1",
		"2025":                   "release 2025 is not kept",
	} {
		to, err := oneOf(kept, wanted)
		if err != nil {
			to = err.Error()
		}
		if !strings.Contains(to, want) || err == nil && to != want {
			t.Errorf("%s: %s, want %s", wanted, to, want)
		}
	}
}
