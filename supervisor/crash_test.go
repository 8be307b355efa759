package supervisor

import (
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestNextRequestIsServedWhenAServerIsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	s.serves("a")
	before := s.get("a")
	s.kill(before.pid)
	after := s.get("a")
	if after.pid == before.pid || after.release != before.release {
		t.Errorf("%+v served, and then %+v", before, after)
	}
	b := s.becomes("a", func(b control.BuildStatus) bool { return b.Healthy && b.Restarts == 1 })
	if b.Pid != after.pid || !strings.Contains(b.LastExit, "SIGKILL") {
		t.Errorf("status is %+v", b)
	}
	var events []string
	if err := s.client.Events(t.Context(), false, func(e control.Event) error {
		events = append(events, e.Event)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(events, " "); !strings.Contains(got, "took_over") || !strings.Contains(got, "exited recovered") {
		t.Errorf("events are %s", got)
	}
}

func TestServerThatIsSickIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a", "[build.health]", "failures = 1"))
	s.start()
	s.serves("a")
	before := s.get("a")
	if _, err := s.ask("a", "/sick"); err != nil {
		t.Fatal(err)
	}
	s.becomes("a", func(b control.BuildStatus) bool { return b.Healthy && b.Pid != 0 && b.Pid != before.pid })
	if now := s.get("a"); now.release != before.release {
		t.Errorf("%+v was sick, now %+v serves", before, now)
	}
}
