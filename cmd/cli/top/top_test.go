package top

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fake is a supervisor of so many builds, of which the third is in backoff.
type fake struct {
	Client
	builds    int
	restarted []string
	away      error
}

func (f *fake) Status(context.Context) (control.Status, error) {
	s := control.Status{Version: "1.4.0", Started: noon.Add(-time.Hour)}
	for i := range f.builds {
		b := control.BuildStatus{Name: fmt.Sprintf("build_%02d", i), State: control.StateRunning, Healthy: true, Release: "r1", Since: noon.Add(-time.Minute), Memory: uint64(i) << 20}
		if i == 2 {
			b.State, b.Healthy, b.Reason, b.Remedy = control.StateBackoff, false, "killed by SIGKILL", "wait"
		}
		s.Builds = append(s.Builds, b)
	}
	return s, f.away
}

func (f *fake) Detail(_ context.Context, name string) (control.BuildDetail, error) {
	return control.BuildDetail{Status: control.BuildStatus{Name: name, State: control.StateRunning, Socket: "/run/x.sock"}}, nil
}

func (f *fake) Act(_ context.Context, name, action string, _ map[string]string, _ func(string)) (control.Outcome, error) {
	f.restarted = append(f.restarted, action+" "+name)
	return control.Outcome{}, nil
}

func (f *fake) Log(ctx context.Context, name string, _ control.LogQuery, each func([]byte) error) error {
	return errors.Join(each([]byte("first line of "+name+"\nsecond \x1b[31mred\x1b[2J")), each([]byte(" line\n")))
}

// screen is a model in front of a person.
type screen struct {
	*testing.T
	m *model
}

func open(t *testing.T, f *fake, o Options) screen {
	t.Helper()
	o.Client, o.Zone, o.Refresh = f, time.UTC, time.Second
	if o.Wanted == nil {
		o.Wanted = func(string) bool { return true }
	}
	st, _ := f.Status(t.Context())
	m := newModel(t.Context(), o, st)
	m.now = func() time.Time { return noon }
	s := screen{t, m}
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	return s
}

// press presses keys, and has what they ask for done.
func (s screen) press(keys ...string) (quit bool) {
	s.Helper()
	for _, key := range keys {
		k := tea.Key{Code: []rune(key)[0], Text: key}
		switch key {
		case "enter":
			k = tea.Key{Code: tea.KeyEnter}
		case "esc":
			k = tea.Key{Code: tea.KeyEscape}
		case "down":
			k = tea.Key{Code: tea.KeyDown}
		case "end":
			k = tea.Key{Code: tea.KeyEnd}
		case "backspace":
			k = tea.Key{Code: tea.KeyBackspace}
		case "ctrl+c":
			k = tea.Key{Code: 'c', Mod: tea.ModCtrl}
		}
		if got := tea.KeyPressMsg(k).String(); got != key {
			s.Fatalf("the key %s is %s", key, got)
		}
		_, cmd := s.m.Update(tea.KeyPressMsg(k))
		quit = s.do(cmd) || quit
	}
	return quit
}

// do carries out what the model asks for.
func (s screen) do(cmd tea.Cmd) (quit bool) {
	if cmd == nil {
		return false
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg, tea.InterruptMsg:
		return true
	case tea.BatchMsg:
		for _, one := range msg {
			quit = s.do(one) || quit
		}
		return quit
	default:
		_, next := s.m.Update(msg)
		return s.do(next)
	}
}

// shows reports whether all of that is on the screen, which no line is too long or too low for.
func (s screen) shows(want ...string) {
	s.Helper()
	lines := s.m.screen()
	if len(lines) != s.m.rows {
		s.Errorf("%d lines on a screen of %d", len(lines), s.m.rows)
	}
	text := strings.Join(lines, "\n")
	for _, w := range want {
		if not, ok := strings.CutPrefix(w, "!"); ok == strings.Contains(text, strings.TrimPrefix(w, "!")) {
			s.Errorf("want %q, not %v, in\n%s", strings.TrimPrefix(w, "!"), ok && not != "", text)
		}
	}
}

func TestScreenMovesSortsFiltersAndTellsOfTheSelectedBuild(t *testing.T) {
	t.Parallel()
	s := open(t, &fake{builds: 50}, Options{})
	s.shows("supervisor 1.4.0, up 1h0m, 50 builds: 49 running, 1 failing", "\x1b[7mbuild_02  backoff", "killed by SIGKILL\n    -> wait", "0 more above", "q quit", "sort: trouble")
	s.press("down", "down")
	s.shows("\x1b[7mbuild_01")
	s.press("end")
	s.shows("\x1b[7mbuild_49", "0 below", "!build_00")
	s.press("s")
	s.shows("sort: name", "\x1b[7mbuild_49")
	s.press("s")
	s.shows("sort: memory", "\x1b[7mbuild_49", "0 more above")
	s.press("/", "0", "7", "enter")
	s.shows("build_07", "!build_08", `filter "07": 1 of 50 builds`)
	s.press("/", "x")
	s.shows(`No build of 50 matches "07x"`, "/07x_")
	s.press("backspace", "esc")
	s.shows("50 builds", "build_20", "!filter \"")
	if s.press("q") != true || s.press("ctrl+c") != true {
		t.Error("q or Ctrl-C does not leave")
	}
}

func TestScreenRestartsOnlyAfterYes(t *testing.T) {
	t.Parallel()
	f := &fake{builds: 3}
	s := open(t, f, Options{})
	s.press("r")
	s.shows("Restart build_02?", "[y/N]")
	s.press("q")
	s.shows("build_02 was not restarted")
	if s.press("r", "y"); len(f.restarted) != 1 || f.restarted[0] != "restart build_02" {
		t.Errorf("%q", f.restarted)
	}
	s.shows("build_02: restart done")
}

func TestScreenShowsAPageAndALogAndComesBack(t *testing.T) {
	t.Parallel()
	s := open(t, &fake{builds: 3}, Options{})
	s.press("enter")
	s.shows("build_02  running", "socket", "/run/x.sock", "q back")
	s.press("l")
	s.shows("Log of build_02", "first line of build_02\nsecond red line\n", "End follow")
	s.press("/", "R", "E", "D", "enter")
	s.shows(`lines with "RED"`, "second red line", "!first line")
	s.press("q")
	s.shows("NAME", "build_00")
	one := open(t, &fake{builds: 3}, Options{Named: "build_01"})
	one.do(one.m.ask())
	one.shows("build_01  running", "q quit")
	if one.press("q") != true {
		t.Error("q does not leave the page of the build that was named")
	}
}

func TestScreenSaysThatTheSupervisorIsAwayAndKeepsWhatItKnew(t *testing.T) {
	t.Parallel()
	f := &fake{builds: 3}
	s := open(t, f, Options{})
	f.away = errors.New("no supervisor is running")
	s.do(s.m.ask())
	s.shows("the supervisor is away, trying again: no supervisor is running", "build_02")
	f.away = nil
	s.do(s.m.ask())
	s.shows("!away")
}

func TestScreenFitsEverySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 10, 50} {
		s := open(t, &fake{builds: n}, Options{})
		for _, columns := range []int{40, 60, 80, 120, 200} {
			for _, rows := range []int{4, 10, 24, 60} {
				s.m.Update(tea.WindowSizeMsg{Width: columns, Height: rows})
				s.shows()
				for _, line := range s.m.screen() {
					if plain := strings.NewReplacer("\x1b[7m", "", "\x1b[0m", "").Replace(line); len([]rune(plain)) > columns {
						t.Errorf("%d builds, %d x %d: too long a line: %q", n, columns, rows, plain)
					}
				}
			}
		}
	}
}

// The library draws this screen and nothing else: only this package may know it.
func TestNothingElseDrawsScreens(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "github.com/medctrl/medctrl-supervisor/...").Output()
	if err != nil {
		t.Skip("go list: ", err)
	}
	for line := range strings.Lines(string(out)) {
		if path, imports, _ := strings.Cut(line, ": "); strings.Contains(imports, "charm.land/") && !strings.HasSuffix(path, "/cmd/cli/top") {
			t.Errorf("%s imports bubbletea", path)
		}
	}
}
