package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// eventLines are events number from to below to, as they stand in the file.
func eventLines(t *testing.T, from, below int) string {
	t.Helper()
	var all strings.Builder
	for n := from; n < below; n++ {
		line, err := json.Marshal(control.Event{Build: "one", Event: fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(line, '\n'))
	}
	return all.String()
}

func TestEarlierEventsComeBackInOrderFromBothFiles(t *testing.T) {
	t.Parallel()
	const kept = control.FeedKept
	for name, c := range map[string]struct {
		old, now    string
		first, last int // that are to be held
	}{
		"nothing yet":         {"", "", 0, -1},
		"one file":            {"", eventLines(t, 0, 3), 0, 2},
		"both, not all":       {eventLines(t, 0, kept), eventLines(t, kept, kept+7), 7, kept + 6},
		"the newer is enough": {eventLines(t, 0, 5), eventLines(t, 5, kept+6), 6, kept + 5},
		"half a line":         {"", eventLines(t, 0, 2) + `{"build":"o`, 0, 1},
	} {
		path := filepath.Join(t.TempDir(), "events")
		for file, text := range map[string]string{path: c.now, path + ".1": c.old} {
			if text == "" {
				continue
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := openEventLog(path, hclog.NewNullLogger()).feed.Of("one", 2*kept)
		if len(got) != c.last-c.first+1 {
			t.Errorf("%s: %d events are held", name, len(got))
			continue
		}
		for i, e := range got {
			if e.Event != fmt.Sprint(c.first+i) {
				t.Errorf("%s: event %d is %s", name, i, e.Event)
				break
			}
		}
	}
}
