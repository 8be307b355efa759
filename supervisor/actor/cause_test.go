package actor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// An outage of minutes must not cost a release, and one that cannot run is known within seconds.
func TestCandidateIsTriedAgainAsLongAsItsFailureMayPassByItself(t *testing.T) {
	exit3 := &Exit{Words: "exit code 3", Code: 3}
	for name, c := range map[string]struct {
		conduct conduct
		output  []string
		passes  bool
	}{
		"returns 500":            {conduct{answer: &ProbeError{Wrong: true, Status: 500, Err: errBroken}}, nil, true},
		"returns 503":            {conduct{answer: &ProbeError{Wrong: true, Status: 503, Err: errBroken}}, nil, true},
		"returns 429":            {conduct{answer: &ProbeError{Wrong: true, Status: 429, Err: errBroken}}, nil, true},
		"returns 404":            {conduct{answer: &ProbeError{Wrong: true, Status: 404, Err: errBroken}}, nil, false},
		"returns nothing":        {conduct{hung: true}, nil, true},
		"never says it is ready": {conduct{mute: true}, nil, true},
		"exits":                  {conduct{dies: exit3}, []string{"ModuleNotFoundError: No module named 'nowhere'"}, false},
		"exits without its database": {conduct{dies: exit3},
			[]string{"Traceback (most recent call last):", "  File x", "django.db.utils.OperationalError: (2002, \"Can't connect to MySQL server\")"}, true},
		"exits after gunicorn's timeout": {conduct{dies: exit3}, []string{"[CRITICAL] WORKER TIMEOUT (pid:7)"}, true},
		"exits without its login":        {conduct{dies: exit3}, []string{"django.db.utils.OperationalError: (1045, \"Access denied\")"}, false},
		"is killed":                      {conduct{dies: &Exit{Words: "killed by SIGKILL", Code: -1, Signal: true, Outside: true}}, nil, true},
		"crashes":                        {conduct{dies: &crash}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				old := l.server()
				l.w.do(func() { l.w.conduct["r2"], l.w.output = c.conduct, c.output })
				l.change("second")
				l.told(machine.EventCandidateFailed)
				l.pass(10 * time.Minute)
				if bad := len(l.View().State.Bad) == 1; bad == c.passes {
					l.Fatalf("rejected: %v; %s", bad, l.View().State.Reason())
				}
				if l.server() != old {
					l.Error("something else serves")
				}
				l.w.do(func() { delete(l.w.conduct, "r2") })
				l.pass(10 * time.Minute)
				if serves := l.View().State.Serving.Version.Release == "r2"; serves != c.passes {
					l.Errorf("serves: %v; %s", serves, l.View().State.Reason())
				}
			})
		})
	}
}

// Whoever waits gets the verdict, or else hears at once that it takes longer.
func TestCommandEndsWithTheVerdictOnARelease(t *testing.T) {
	for name, c := range map[string]struct {
		conduct conduct
		want    string
		within  time.Duration
	}{
		"rejected":           {conduct{dies: &Exit{Words: "exit code 3", Code: 3}}, "(3 of 3 tries): exit code 3 (a gunicorn worker could not boot); not tried again until", 15 * time.Second},
		"may pass by itself": {conduct{answer: &ProbeError{Wrong: true, Status: 500, Err: errBroken}}, "release r2 did not take over: it broke; tried again in ", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				l.w.do(func() { l.w.conduct["r2"] = c.conduct })
				begun := time.Now()
				l.does(Command{Action: "rebuild"}, c.want)
				if took := time.Since(begun); took > c.within {
					l.Errorf("it took %v", took)
				}
			})
		})
	}
	serving(t, func(l *life) { // one that comes up at the second try
		l.w.do(func() { l.w.conduct["r2"] = conduct{dies: &Exit{Words: "exit code 3", Code: 3}} })
		rebuild := l.asks(Command{Action: "rebuild"})
		l.told(machine.EventCandidateFailed)
		l.w.do(func() { delete(l.w.conduct, "r2") })
		l.ends(rebuild, "")
	})
}

func TestEventsOfFailuresSayWhetherTheyAreTriedAgain(t *testing.T) {
	serving(t, func(l *life) {
		l.w.fail("Make", errors.New("pip: no network"))
		l.change("second")
		l.told(machine.EventBuildFailed)
		l.w.do(func() { l.w.conduct["r2"] = conduct{answer: &ProbeError{Wrong: true, Status: 500, Err: errBroken}} })
		l.w.fail("Make", nil)
		l.told(machine.EventCandidateFailed)
		l.w.do(func() {
			for _, e := range l.w.events {
				failed := e.Event == string(machine.EventBuildFailed) || e.Event == string(machine.EventCandidateFailed)
				if failed && !strings.Contains(e.Reason, "; tried again in ") {
					l.Errorf("%s: %q", e.Event, e.Reason)
				}
			}
		})
	})
}
