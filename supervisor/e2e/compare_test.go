package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/e2e/comparison"
)

// TestCompare runs the same scenarios on this program and on others, and writes what was measured into
// docs/comparison.md: `make compare`. With ONLY, SCENARIOS or CHILDREN it is a part, which is printed alone.
func TestCompare(t *testing.T) {
	if os.Getenv("MEDCTRL_TEST_COMPARE") == "" {
		t.Skip("only by make compare")
	}
	if os.Getuid() != 0 || cgroupMount() == "" {
		t.Skip("needs root, and cgroup v2 mounted: what a contender starts is found and ended by its cgroup")
	}
	rounds := number(t, "ROUNDS", 3)
	rate := number(t, "RATE", 100)
	children := []int{1, 100, 1000}
	if list := os.Getenv("CHILDREN"); list != "" {
		children = nil
		for _, n := range strings.Split(list, ",") {
			count, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil || count < 1 || count > 5000 {
				t.Fatalf("CHILDREN=%s: want numbers from 1 to 5000", list)
			}
			children = append(children, count)
		}
	}
	run := &comparedRun{t: t, rounds: rounds, rate: float64(rate), scenarios: scenarios(rounds, float64(rate), children)}
	run.scenarios = slices.DeleteFunc(run.scenarios, func(s *comparison.Scenario) bool { return !chosen("SCENARIOS", s.Title) })
	cleanAfterUs(t)

	report := comparison.Run{Date: time.Now(), Machine: machine(), Command: "make compare", Ours: ourName}
	for _, name := range []string{"ONLY", "SCENARIOS", "ROUNDS", "RATE", "CHILDREN"} {
		if value := os.Getenv(name); value != "" {
			report.Command += fmt.Sprintf(" %s='%s'", name, value)
		}
	}
	busy := load1()
	var running []contender
	for _, c := range []contender{ours(), bySystemd(), bySupervisord(), byRunit(), byS6(), byPm2(), byEmperor(), byMonit()} {
		if !chosen("ONLY", c.name) {
			continue
		}
		version, err := c.version()
		p := comparison.Program{Name: c.name, Version: version, Setup: c.setup}
		if err != nil {
			p.Version, p.Setup = "", "cannot be had here: "+cmp.Or(os.Getenv("MEDCTRL_WITHOUT_"+strings.ToUpper(c.name)), err.Error())
		} else {
			running = append(running, c)
		}
		report.Programs = append(report.Programs, p)
	}
	for _, name := range []string{"process-compose", "supervisord in Go"} {
		if chosen("ONLY", name) {
			report.Programs = append(report.Programs, comparison.Program{Name: name, Setup: "cannot be had here: " + cmp.Or(os.Getenv("MEDCTRL_WITHOUT_"+envName(name)), "was not asked for")})
		}
	}
	if _, err := build(); err != nil {
		t.Fatal(err)
	}

	for _, c := range running {
		run.serving(c)
	}
	for _, c := range running {
		// Both mostly wait, and neither needs the processors.
		var loop sync.WaitGroup
		loop.Go(func() { run.looping(c) })
		run.broken(c)
		loop.Wait()
	}
	for _, c := range running {
		run.orphaned(c)
	}
	for _, c := range running {
		run.unread(c)
	}
	for _, n := range children {
		for _, c := range running {
			run.many(c, n)
		}
	}
	if busy > 0.5 {
		report.Load = fmt.Sprintf("Others used the machine meanwhile (a load of %.1f before it began): the times are no good.", busy)
	}
	for _, s := range run.scenarios {
		report.Scenarios = append(report.Scenarios, *s)
	}
	write(t, report)
}

// chosen reports whether a list in the environment names something; without the list everything is. "us" is
// this program, and a list names what begins with, or has in it, one of its words.
func chosen(list, name string) bool {
	text := strings.TrimSpace(os.Getenv(list))
	if text == "" {
		return true
	}
	for _, word := range strings.Split(text, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		if word == "us" && name == ourName || word != "us" && word != "" && strings.HasPrefix(strings.ToLower(name), word) {
			return true
		}
	}
	return false
}

func envName(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", " ", "_", "'", "_").Replace(name))
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		t.Fatalf("%s=%s: want a number from 1 to 1000", name, text)
	}
	return n
}

// machine is what this runs on.
func machine() string {
	var uts syscall.Utsname
	_ = syscall.Uname(&uts) // it fails for no reason
	var release strings.Builder
	for _, c := range uts.Release {
		if c == 0 {
			break
		}
		release.WriteByte(byte(c))
	}
	memory := "unknown memory"
	var kb int
	if _, err := fmt.Sscanf(readAll("/proc/meminfo"), "MemTotal: %d kB", &kb); err == nil {
		memory = fmt.Sprintf("%d GiB of memory", (kb+512<<10)>>20)
	}
	major, _, _ := strings.Cut(release.String(), "-")
	versions, _ := printed(python, "-c", "import platform, django, gunicorn; print('Python %s, Django %s, gunicorn %s' % (platform.python_version(), django.__version__, gunicorn.__version__))")
	return fmt.Sprintf("%d processors, %s, Linux %s; %s, 2 sync workers", runtime.NumCPU(), memory, major, strings.TrimSpace(versions))
}

// load1 is how many processes wanted to run in the last minute.
func load1() (load float64) {
	fmt.Sscan(readAll("/proc/loadavg"), &load)
	return load
}

// cleanAfterUs has all contenders killed, and their folders removed, whatever becomes of this process.
func cleanAfterUs(t *testing.T) {
	t.Helper()
	const script = `cat >/dev/null
n=0
while [ -d "$1" ] && [ $n -lt 50 ]; do
	n=$((n+1))
	for c in "$1"/*; do echo 1 >"$c/cgroup.kill"; done
	find "$1" "$2" -depth -type d -exec rmdir {} +
	sleep 0.1
done 2>/dev/null
rm -rf --one-file-system "$3"`
	cmd := exec.Command("sh", "-c", script, "sh", comparedCgroups(), comparedV1(), binDir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no Ctrl-C
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Whoever is left in them is said by who made its cgroup.
		_, _ = os.Remove(comparedCgroups()), os.Remove(comparedV1())
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait() // killed
	})
}

const document = "../../docs/comparison.md"

// charts are the figures that are drawn, by the title of their scenario.
var charts = map[string]string{deployTitle: "lost", restartTitle: "lost", brokenTitle: "lost", loopTitle: "cpu", childrenTitle(1000): "pss"}

// write writes the run into docs/comparison.md, or prints it if it is a part.
func write(t *testing.T, report comparison.Run) {
	t.Helper()
	text, err := json.MarshalIndent(report, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join("../../bin", "compare.json")
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../../bin/compare.md", []byte(report.Markdown(nil)), 0o644); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(report.Command, "ONLY=") || strings.Contains(report.Command, "SCENARIOS=") || strings.Contains(report.Command, "CHILDREN=") || t.Failed() {
		io.WriteString(os.Stdout, report.Markdown(nil)) // nobody reads on: nothing can be done
		return
	}
	publish(t, report)
}

// publish writes the run and its charts into docs.
func publish(t *testing.T, report comparison.Run) {
	t.Helper()
	links := map[string]string{}
	for _, s := range report.Scenarios {
		if key := charts[s.Title]; key != "" {
			name := "comparison-" + strings.ReplaceAll(strings.ReplaceAll(s.Title, " ", "-"), ",", "") + ".svg"
			if err := os.WriteFile(filepath.Join(filepath.Dir(document), name), []byte(report.Chart(s, key)), 0o644); err != nil {
				t.Fatal(err)
			}
			links[s.Title] = name
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	put, err := comparison.Put(string(text), report.Markdown(links))
	if err == nil {
		err = os.WriteFile(document, []byte(put), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range comparison.Unexplained(put) {
		t.Errorf("%s does not explain why another one is better in: %s", document, name)
	}
}

// Where another program is better, docs/comparison.md says why.
func TestComparisonExplainsEveryFigureInWhichAnotherIsBetter(t *testing.T) {
	t.Parallel()
	for _, name := range comparison.Unexplained(readAll(document)) {
		t.Errorf("%s does not explain why another one is better in: %s", document, name)
	}
}

func TestLinesOfALogAreCounted(t *testing.T) {
	t.Parallel()
	x := strings.Repeat("x", 80)
	log := "line 000001 " + x + "\n2026-11-28 line 000002 " + x + "\nline 000002 " + x + "\nline 000003 xxx\nother\nline 000004 " + x + "\n"
	if got := numberedLines(log); got != 3 {
		t.Errorf("counted %d lines, want 3: one twice, one cut", got)
	}
}

func TestAttemptThatFailsEndsNothingElse(t *testing.T) {
	t.Parallel()
	var did []string
	failed := try(t, func(a *trial) {
		a.Cleanup(func() { did = append(did, "first") })
		a.Cleanup(func() { did = append(did, "second"); a.Fatal("in the cleanup") })
		a.Errorf("wrong %d", 1)
		a.Fatal("over")
		did = append(did, "went on")
	})
	if want := []string{"second", "first"}; !slices.Equal(did, want) {
		t.Errorf("did %q, want %q", did, want)
	}
	if want := "wrong 1; over; in the cleanup"; failed != want {
		t.Errorf("said %q, want %q", failed, want)
	}
}
