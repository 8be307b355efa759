package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestLogsOfOneBuildAreAsTheyAreAndOfSeveralHaveNames(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{}
	d.serve(f)
	for _, c := range []struct {
		args, out string
		asked     []string
	}{
		{"testing", "a line of testing\nand its end", []string{"log of testing: 100 lines, build false, since ever"}},
		{"testing --build -n 5", "a line of testing\nand its end", []string{"log of testing: 5 lines, build true, since ever"}},
		{"testing --since 1h", "a line of testing\nand its end", []string{"log of testing: 10000 lines, build false, since 1h0m0s"}},
		{"testing --since 1h -n 7", "a line of testing\nand its end", []string{"log of testing: 7 lines, build false, since 1h0m0s"}},
		{"testing --grep E.*", "a line of testing\nand its end", []string{"log of testing: 100 lines, build false, since ever, grep E.*"}},
		{"testing --json -n 1", `{"time":"2026-11-23T09:00:01.5Z","build":"testing","source":"server","line":"and its end"}` + "\n", []string{"log of testing: 1 lines, build false, since ever"}},
		{"", "development | a line of development\ntesting     | a line of testing\ndevelopment | and its end\ntesting     | and its end\n",
			[]string{"log of development: 100 lines, build false, since ever", "log of testing: 100 lines, build false, since ever"}},
		{"--all -n 3", "testing     | a line of testing\ndevelopment | and its end\ntesting     | and its end\n",
			[]string{"log of development: 3 lines, build false, since ever", "log of testing: 3 lines, build false, since ever"}},
	} {
		out, errOut, code := d.run(append([]string{"logs"}, strings.Fields(c.args)...)...)
		asked := f.took()
		if slices.Sort(asked); code != 0 || out != c.out || !slices.Equal(asked, c.asked) {
			t.Errorf("logs %s: exit %d, %q %q, asked for %q", c.args, code, out, errOut, asked)
		}
	}
}

func TestLogsRefuseWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for args, want := range map[string]string{"--all development": "--all is every build", "--grep ( a": "want a regular expression", "-f --until 1h": "[follow until]"} {
		if _, errOut, code := d.run(append([]string{"logs"}, strings.Fields(args)...)...); code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("logs %s: exit %d, %q", args, code, errOut)
		}
	}
}

func TestLinesOfALogStayInItsOrderWhenTheyAreMerged(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Date(2026, 11, 23, 9, 0, s, 0, time.UTC) }
	var got []string
	m := merge{past: make([][]control.LogLine, 2), lines: 4, write: func(l control.LogLine) error { got = append(got, l.Line); return nil }}
	for _, l := range []struct {
		build, second int
		line          string
	}{{0, 1, "a1"}, {0, 5, "a2"}, {0, 2, "a3, of a worker whose clock is slow"}, {1, 3, "b1"}, {1, 6, "b2"}} {
		if err := m.line(l.build, control.LogLine{Time: at(l.second), Line: l.line}); err != nil {
			t.Fatal(err)
		}
	}
	m.flush()
	m.line(0, control.LogLine{Time: at(0), Line: "new"})
	m.flush()
	if want := []string{"b1", "a2", "a3, of a worker whose clock is slow", "b2", "new"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLogsAreFollowedUntilTheSupervisorEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{follow: make(chan string)}
	stop := d.serve(f)
	out, end := d.start("logs", "-f")
	out.awaitText("testing     | a line of testing\n")
	f.follow <- "\na new line\n"
	out.awaitText(" | a new line\n")
	if code := end(); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
	one, endOne := d.start("logs", "-f", "testing")
	one.awaitText("a line of testing\n")
	all, endAll := d.start("logs", "-f")
	all.awaitText("a line of testing\n")
	all.awaitText("a line of development\n")
	stop()
	for out, end := range map[*transcript]func() int{one: endOne, all: endAll} {
		out.awaitText("the supervisor ended")
		if code := end(); code != exitFailed {
			t.Errorf("exit %d: %s", code, out.since(0))
		}
	}
}

func TestEventsAreShownInOrderByBuildAndTime(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
	for args, want := range map[string][]string{
		"":                      {"removed", "testing"},
		"t*":                    {"testing"},
		"removed":               {"removed"},
		"development":           nil,
		"--since 10m":           {"testing"},
		"--since 10m removed":   nil,
		"removed t* --since 2h": {"removed", "testing"},
		"-n 1":                  {"testing"},
		"-n 5":                  {"removed", "testing"},
		"-n 1 removed":          {"removed"},
		"-n 0":                  nil,
		"--until 10m":           {"removed"},
		"--since 2d --until 0s": {"removed", "testing"},
	} {
		out, errOut, code := d.run(append([]string{"events", "--json"}, strings.Fields(args)...)...)
		var got []string
		for line := range strings.Lines(out) {
			var e control.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Error(err)
			}
			got = append(got, e.Build)
		}
		if code != 0 || !slices.Equal(got, want) {
			t.Errorf("events %s: exit %d, %q %q", args, code, out, errOut)
		}
	}
	if out, _, code := d.run("events", "testing"); code != 0 || !strings.HasSuffix(out, " testing: took over release r1 pid 7\n") {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestEventsAreFollowedUntilTheSupervisorEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{}
	stop := d.serve(f)
	out, end := d.start("events", "-f", "dev*")
	f.Events().Add(control.Event{Time: time.Now(), Build: "testing", Event: "exited"})
	f.Events().Add(control.Event{Time: time.Now(), Build: "development", Event: "exited"})
	out.awaitText(" development: exited\n")
	if code := end(); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
	out, end = d.start("events", "-f", "dev*")
	out.awaitText(" development: exited\n")
	if strings.Contains(out.since(0), "testing") {
		t.Errorf("events of others: %s", out.since(0))
	}
	stop()
	out.awaitText("the supervisor ended")
	if code := end(); code != exitFailed {
		t.Errorf("exit %d", code)
	}
}

// The program itself: a runtime that is left alone prints the stacks of its goroutines.
func TestQuitEndsWhatIsFollowedWithoutADump(t *testing.T) {
	t.Parallel()
	if signal.Ignored(syscall.SIGQUIT) {
		t.Skip("a shell that runs the tests in the background has it ignored")
	}
	for _, args := range [][]string{{"logs", "-f", "testing"}, {"events", "-f"}, {"status", "--watch"}} {
		d := newDesk(t)
		f := &fake{follow: make(chan string, 1)}
		f.follow <- "a line\n"
		d.serve(f)
		cmd := exec.Command(filepath.Join(d.bin, programName), append([]string{"-c", d.file}, args...)...)
		var errOut bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stderr = d.dir, d.env(), &errOut
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it follows
			t.Errorf("%s shows nothing: %v", args[0], err)
		}
		if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || errOut.Len() > 0 {
			t.Errorf("%s: %v, %q", args[0], err, errOut.String())
		}
	}
}

func TestLogsNeverCommandTheTerminal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{follow: make(chan string)}
	d.serve(f)
	for _, names := range [][]string{{"testing"}, {"testing", "development"}} {
		term := openTerminal(t)
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() {
			code <- d.runIn(ctx, term.program, term.program, term.program, append([]string{"logs", "-f"}, names...)...)
		}()
		term.awaitText("a line of testing")
		f.follow <- "\n\x1b]0;title\x07\x1b[2J\x1b[32mgreen\x1b[0m\n"
		term.awaitText("green")
		term.await(0, "the line's end", func(got string) bool { return strings.HasSuffix(got, "\n") })
		cancel()
		<-code
		got := term.since(0)
		if !strings.Contains(got, "^[]0;title^G^[[2J") || strings.Contains(got, "\x1b]") || strings.Contains(got, "\x1b[2J") {
			t.Errorf("logs of %q: %q", names, got)
		}
	}
}
