package supervisor

import (
	"reflect"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// The file is the same on every host: what is done once moves with once_on, and nothing that serves is
// touched.
func TestWhatIsDoneOnceMovesWithOnceOn(t *testing.T) {
	t.Parallel()
	const once = `
process = [{ name = "beat", command = ["sleep", "600"], once = true }, { name = "worker", command = ["sleep", "600"] }]
schedule = [{ name = "mail", command = ["true"], every = "1s" }, { name = "tmp", command = ["true"], every = "1s", once = false }]
`
	on := func(host string) string { return entry("a", `once_on = "`+host+`"`, once) }
	s := newSite(t, "", on("web-1"))
	said := &log{}
	said.show(t)
	o := s.options(said)
	o.Host = "web-2.example.org"
	s.startWith(o, said)
	runs := func(process, schedule string) func(control.BuildStatus) bool {
		return func(b control.BuildStatus) bool {
			here, ran := process == "", schedule == ""
			for _, p := range b.Processes {
				here = here || p.Name == process && p.State == control.ProcessRunning
			}
			for _, d := range b.Schedules {
				ran = ran || d.Name == schedule && d.Last != nil && d.Last.Result == control.ResultGood
			}
			return here && ran && b.Healthy
		}
	}
	b := s.becomes("a", runs("worker", "tmp"))
	want := &control.Elsewhere{Host: "web-1", Migrates: true, Processes: []string{"beat"}, Schedules: []string{"mail"}}
	if !reflect.DeepEqual(b.Elsewhere, want) || len(b.Processes) != 1 || len(b.Schedules) != 1 {
		t.Errorf("%+v, processes %+v, schedules %+v", b.Elsewhere, b.Processes, b.Schedules)
	}
	if st, err := s.client.Status(t.Context()); err != nil || st.Host != "web-2.example.org" {
		t.Errorf("the host is %q, %v", st.Host, err)
	}
	s.builds("", on("web-2"))
	moved := s.becomes("a", runs("beat", "mail"))
	if moved.Elsewhere != nil || len(moved.Processes) != 2 || len(moved.Schedules) != 2 {
		t.Errorf("%+v, processes %+v, schedules %+v", moved.Elsewhere, moved.Processes, moved.Schedules)
	}
	s.builds("", on("web-1"))
	left := s.becomes("a", func(b control.BuildStatus) bool { return b.Elsewhere != nil && len(b.Processes) == 1 })
	if !reflect.DeepEqual(left.Elsewhere, want) || left.Pid != b.Pid || left.Processes[0].Pid != b.Processes[0].Pid || len(left.Schedules) != 1 {
		t.Errorf("it was %+v, is %+v", b, left)
	}
}
