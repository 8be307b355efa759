package show

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

var update = flag.Bool("update", false, "write what is shown into testdata")

// widths are those of the terminals that tables are looked at in.
var widths = []int{40, 60, 80, 120, 200}

// golden compares what is shown with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not that of testdata (-update writes it):\n%s", name, got)
	}
}

// many is a status of so many builds, of which some are in trouble.
func many(n int) control.Status {
	const release = "20261123T090001-1a2b3c"
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	s := control.Status{Version: "1.4.0", Started: at(76 * time.Hour), Front: control.Part{Address: "127.0.0.1:8080"}, Dashboard: control.Part{Address: "127.0.0.1:8081"}}
	trouble := map[int]control.BuildStatus{
		0: {Name: "development", BuildError: "check: exit code 1; last output: Traceback | ModuleNotFoundError: No module named 'rest_framework'; tried again in 40 s",
			Failed: &control.Failed{Step: "check", At: at(4 * time.Second), Tries: 3}, NextTry: at(-40 * time.Second)},
		3: {State: control.StateBackoff, Healthy: false, Restarts: 7, Reason: "killed by SIGKILL; tried again in 8 s", NextTry: at(-8 * time.Second), Since: time.Time{}},
		4: {Reason: "release 20261123T115000-9f9f9f did not take over (2 of 3 tries): exit code 3; tried again in 4 s", NextTry: at(-4 * time.Second),
			Failed: &control.Failed{Release: "20261123T115000-9f9f9f", At: at(90 * time.Second), Tries: 2}},
		5: {Proving: "20261123T115958-7e7e7e", ProvingSince: at(2 * time.Second)},
		6: {State: control.StateBuilding, Release: "-", Building: true, BuildProgress: "install (4 of 8, 3.2s)", Queue: -1},
		7: {State: control.StateStopped, Release: "-", Reason: "stopped by hand, and stays stopped across restarts of the supervisor", Queue: -1},
		8: {Pinned: true, Restarts: 3, ByHand: 2},
	}
	for i := range n {
		b := trouble[i]
		if b.Name == "" {
			b.Name = fmt.Sprintf("build_%02d", i)
		}
		b.Location = "/" + b.Name
		if b.State == "" {
			b.State, b.Healthy, b.Since, b.Pid, b.Memory, b.CPU = control.StateRunning, true, at(time.Duration(i+1)*100*time.Minute), 900+i, uint64(60+i)<<20, float64(i%7)/10
		}
		if b.Release = strings.Trim(b.Release, "-"); b.Release == "" && b.State != control.StateBuilding && b.State != control.StateStopped {
			b.Release = release
		}
		s.Builds = append(s.Builds, b)
	}
	s.Builds = remedied(s.Builds...)
	return s
}

// To write them anew: go test ./cmd/cli/show -run Golden -update
func TestGoldenTables(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 10, 50} {
		for _, columns := range widths {
			var b strings.Builder
			Table(&b, many(n), Look{Columns: columns}, noon)
			golden(t, fmt.Sprintf("table-%d-%d", n, columns), b.String())
			fits(t, b.String(), columns)
			if first, _, _ := strings.Cut(b.String(), "\n"); !strings.HasPrefix(first, "supervisor 1.4.0, up 3d4h") {
				t.Errorf("in %d columns it begins with %q", columns, first)
			}
		}
	}
}

// The longest names there are, all states, every width: each name and state is whole, in the first column.
func TestNoNameIsCutAndNoLineBrokenAtAnyWidth(t *testing.T) {
	t.Parallel()
	s := many(10)
	for i := range s.Builds {
		s.Builds[i].Name = fmt.Sprintf("n%02d_%s", i, strings.Repeat("x", 28))
	}
	s.Builds[9].State = control.StateUnhealthy
	for columns := 40; columns <= 200; columns++ {
		var b strings.Builder
		Table(&b, s, Look{Columns: columns}, noon)
		fits(t, b.String(), columns)
		for _, build := range s.Builds {
			if !strings.Contains(b.String(), "\n"+build.Name+" ") && !strings.Contains(b.String(), "\n"+build.Name+"\n  "+build.State) {
				t.Fatalf("in %d columns %s is cut:\n%s", columns, build.Name, b.String())
			}
		}
	}
}

func fits(t *testing.T, text string, columns int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
			t.Errorf("a line of %d in %d columns: %s", n, columns, line)
		}
	}
}
