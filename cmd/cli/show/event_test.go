package show

import (
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestAnEventIsALine(t *testing.T) {
	t.Parallel()
	at := noon.Format("2006-01-02 15:04:05.000 MST")
	for want, e := range map[string]control.Event{
		at + " one: took over release r1 pid 12":   {Time: noon, Build: "one", Event: "took_over", Release: "r1", Pid: 12},
		at + " one: exited (killed by SIGKILL[2J)": {Time: noon, Build: "one", Event: "exited", Reason: "killed by SIGKILL\n\x1b[2J"},
		at + " one: stopping by al (uid 7)":        {Time: noon, Build: "one", Event: "stopping", By: "al\n (uid 7)"},
		at + " supervisor: asked (reload)":         {Time: noon, Event: "asked", Reason: "reload"},
		at + " one: stopped":                       {Time: noon, Build: "one", Event: "stopped"},
	} {
		var out strings.Builder
		if err := Event(&out, e, time.UTC); err != nil || out.String() != want+"\n" {
			t.Errorf("%q, %v, want %q", out.String(), err, want)
		}
	}
}
