package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/e2e/comparison"
)

const (
	masterTitle     = "kill the master"
	workerTitle     = "kill a worker"
	deployTitle     = "deploy"
	restartTitle    = "restart"
	brokenTitle     = "broken deploy"
	supervisorTitle = "kill the supervisor"
	loopTitle       = "crash loop"
	logTitle        = "log reader gone"
)

// childrenTitle is the scenario with so many children.
func childrenTitle(n int) string {
	if n == 1 {
		return "1 child"
	}
	return comparison.Thousands(float64(n)) + " children"
}

// comparedRun is one run of `make compare`.
type comparedRun struct {
	t         *testing.T
	rounds    int
	rate      float64
	scenarios []*comparison.Scenario
}

// figures are those of one contender in one scenario.
type figures = map[string]float64

const (
	brokenFor = 20 * time.Second // how long a broken deploy lasts
	loopFor   = 15 * time.Second // how long nothing can start
	idleFor   = 5 * time.Second  // how long children are watched that do nothing
	clientFor = 10 * time.Second // how long a client waits
)

// What a figure may vary by, from one run to the next.
var (
	lostFigure = comparison.Metric{Key: "lost", Title: "lost", Of: "sent"}
	gapFigure  = comparison.Metric{Key: "gap", Title: "longest gap", Unit: comparison.Milliseconds, Within: 0.25, Slack: 50}
	tookFigure = comparison.Metric{Key: "took", Title: "until the new release answers", Unit: comparison.Seconds, Within: 0.25, Slack: 0.2}
)

func scenarios(rounds int, rate float64, children []int) (all []*comparison.Scenario) {
	load := fmt.Sprintf("%.0f requests/s, each on a connection of its own", rate)
	again := fmt.Sprintf(" %d times", rounds)
	if rounds == 1 {
		again = " once"
	}
	add := func(title, text string, metrics ...comparison.Metric) {
		all = append(all, &comparison.Scenario{Title: title, Text: text, Metrics: metrics})
	}
	add(masterTitle, "`kill -9` of gunicorn's master"+again+", "+load+".", lostFigure, gapFigure)
	add(workerTitle, "`kill -9` of one of two workers"+again+", "+load+". What is lost was in its hands.", lostFigure, gapFigure)
	add(deployTitle, "New settings and `manage.py migrate`, then the code is brought the most gently:"+again+", "+load+". The time counts from the beginning of the deploy.",
		lostFigure, gapFigure, tookFigure)
	add(restartTitle, "The same with a restart of gunicorn, which new requirements, a new environment or other arguments need:"+again+", "+load+".",
		lostFigure, gapFigure, tookFigure)
	add(brokenTitle, fmt.Sprintf("A deploy of a `wsgi.py` that raises an error, which `migrate` and `check` do not see; after %.0f s one that is right, with a restart. %s, who wait for up to %.0f s.",
		brokenFor.Seconds(), load, clientFor.Seconds()), lostFigure, gapFigure,
		comparison.Metric{Key: "back", Title: "from the fix until it answers", Unit: comparison.Seconds, Within: 0.25, Slack: 1})
	add(supervisorTitle, "`kill -9` of all processes of the supervisor itself, which is started again a second later as its service manager would; 4 s later the servers that there are are killed. "+load+".",
		lostFigure, gapFigure,
		comparison.Metric{Key: "masters", Title: "gunicorns after it", Slack: 0},
		comparison.Metric{Key: "same", Title: "the same serves on", Unit: comparison.YesNo, Better: comparison.Higher},
		comparison.Metric{Key: "again", Title: "restarts it again", Unit: comparison.YesNo, Better: comparison.Higher})
	add(loopTitle, fmt.Sprintf("The whole tree is killed while something that every worker needs is away, for %.0f s. The CPU time is that of all processes in this time, and nobody does anything for %.0f s after it.",
		loopFor.Seconds(), loopFor.Seconds()),
		comparison.Metric{Key: "starts", Title: "starts of a worker", Better: comparison.Neither},
		comparison.Metric{Key: "cpu", Title: "CPU time", Unit: comparison.Seconds, Within: 0.25, Slack: 0.5},
		comparison.Metric{Key: "back", Title: "serves again by itself", Unit: comparison.YesNo, Better: comparison.Higher},
		comparison.Metric{Key: "after", Title: "after", Unit: comparison.Seconds, Within: 0.25, Slack: 1})
	add(logTitle, "`kill -9` of what reads the output of a program that prints 8,000 lines at 1,000/s, after 2 s; where that is the supervisor itself, it is started again 5 s later.",
		comparison.Metric{Key: "kept", Title: "lines kept", Better: comparison.Higher},
		comparison.Metric{Key: "stall", Title: "longest wait of the writer", Unit: comparison.Milliseconds, Within: 0.25, Slack: 50},
		comparison.Metric{Key: "lives", Title: "the writer lives on", Unit: comparison.YesNo, Better: comparison.Higher})
	for _, n := range children {
		add(childrenTitle(n), fmt.Sprintf("Shells that become `sleep`, as many as that. The time until all are alive counts from the supervisor's own start (systemd: the boot; ours: with the making of a release). "+
			"Memory and CPU are those of the supervisor's own processes, CPU in %.0f idle seconds, in ticks of 10 ms. Killed with -9: %d, one after the other (median).", idleFor.Seconds(), killsOf(n)),
			comparison.Metric{Key: "alive", Title: "alive", Better: comparison.Higher},
			comparison.Metric{Key: "started", Title: "until all are", Unit: comparison.Seconds, Within: 0.25, Slack: 1},
			comparison.Metric{Key: "pss", Title: "PSS", Unit: comparison.Megabytes, Within: 0.05},
			comparison.Metric{Key: "anon", Title: "anonymous", Unit: comparison.Megabytes, Within: 0.05},
			comparison.Metric{Key: "ticks", Title: "idle CPU ticks", Slack: 2},
			comparison.Metric{Key: "next", Title: "kill to successor", Unit: comparison.Milliseconds, Within: 0.25, Slack: 5},
			comparison.Metric{Key: "processes", Title: "own processes", Better: comparison.Neither})
	}
	return all
}

func killsOf(children int) int { return min(children, 3) }

// row adds how a contender did. What failed is said in place of the figures.
func (run *comparedRun) row(title string, c contender, f figures, remark, failed string) {
	at := slices.IndexFunc(run.scenarios, func(s *comparison.Scenario) bool { return s.Title == title })
	if at < 0 {
		return // it was not asked for
	}
	row := comparison.Row{Program: c.name, Figures: f, Remark: remark}
	if failed != "" {
		first, _, _ := strings.Cut(failed, "\n")
		row.Without, row.Figures = "failed: "+first, nil
		run.t.Logf("%s, %s: %s", c.name, title, failed)
		if c.name == ourName {
			run.t.Errorf("%s, %s: %s", c.name, title, failed)
		}
	}
	run.t.Logf("%s, %s: %v %s", c.name, title, f, remark)
	run.scenarios[at].Rows = append(run.scenarios[at].Rows, row)
}

func (run *comparedRun) wants(title string) bool {
	return slices.ContainsFunc(run.scenarios, func(s *comparison.Scenario) bool { return s.Title == title })
}

// may reports whether a contender has a part in a scenario, and writes down why it has none.
func (run *comparedRun) may(c contender, title string) bool {
	if !run.wants(title) {
		return false
	}
	if why := c.cannot[title]; why != "" {
		at := slices.IndexFunc(run.scenarios, func(s *comparison.Scenario) bool { return s.Title == title })
		run.scenarios[at].Rows = append(run.scenarios[at].Rows, comparison.Row{Program: c.name, Without: why})
		return false
	}
	return true
}

// load is the load on what is served.
func (run *comparedRun) load(a *trial, m *managed) *Traffic {
	return StartLoad(a, Load{Network: "unix", Addr: m.socket, Rate: run.rate, Timeout: clientFor})
}

// add adds a load's figures to those of the rounds before.
func add(f figures, r Result) {
	f["sent"] += float64(r.Total)
	f["lost"] += float64(r.Total - r.By[OK])
	f["gap"] = max(f["gap"], ms(r.LongestGap))
}

// how says what became of those that had no good answer.
func how(r Result) string {
	var said []string
	for _, kind := range []Outcome{Unavailable, BadStatus, Missing, Refused, Full, Cut, Reset, TimedOut, Mixed, Odd} {
		if n := r.By[kind]; n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(said, ", ")
}

// serving are the scenarios of one gunicorn that is up: each round has all of them, so that a kill never
// follows another one so soon that it is taken for a crash loop.
func (run *comparedRun) serving(c contender) {
	titles := []string{masterTitle, workerTitle, deployTitle, restartTitle}
	var may []string
	for _, title := range titles {
		if run.may(c, title) {
			may = append(may, title)
		}
	}
	if len(may) == 0 {
		return
	}
	all, took, failed, remarks := map[string]figures{}, map[string][]time.Duration{}, map[string]string{}, map[string]string{}
	trouble := try(run.t, func(a *trial) {
		m := c.serve(a)
		if !m.answers(30*time.Second, "") {
			a.Fatalf("no answer after its start: %v", m.ask(time.Second))
		}
		n := 0
		step := func(title string, do func(a *trial) time.Duration) {
			if !slices.Contains(may, title) || failed[title] != "" {
				return
			}
			failed[title] = try(run.t, func(a *trial) {
				tr := run.load(a, m)
				tr.GoOn(a, calm)
				if d := do(a); d > 0 {
					took[title] = append(took[title], d)
				}
				tr.GoOn(a, 2*calm)
				r := tr.Stop()
				if all[title] == nil {
					all[title] = figures{}
				}
				add(all[title], r)
				if said := how(r); said != "" {
					remarks[title] = strings.TrimPrefix(remarks[title]+"; "+said, "; ")
				}
				if len(took[title]) > 0 {
					all[title]["took"] = median(took[title]).Seconds()
				}
			})
		}
		bring := func(how func() error) func(a *trial) time.Duration {
			return func(a *trial) time.Duration {
				n++
				begun := time.Now()
				must(a, m.banner(fmt.Sprint("deploy", n)))
				must(a, how())
				if !m.answers(30*time.Second, fmt.Sprint("deploy", n)) {
					a.Fatalf("the new release does not answer: %v", m.ask(time.Second))
				}
				return time.Since(begun)
			}
		}
		for range run.rounds {
			step(masterTitle, func(a *trial) time.Duration {
				master := m.master()
				KillAll(a, []Process{master}, syscall.SIGKILL)
				m.master(master)
				return 0
			})
			step(workerTitle, func(a *trial) time.Duration {
				master := m.master()
				var workers []Process
				Eventually(a, patience, "workers", func() (bool, string) {
					workers = m.servers()[master.Pid]
					return len(workers) == 2, fmt.Sprint(workers)
				})
				KillAll(a, workers[:1], syscall.SIGKILL)
				return 0
			})
			step(deployTitle, bring(m.deploy))
			step(restartTitle, bring(m.restart))
		}
	})
	for _, title := range may {
		why := failed[title]
		if why == "" && all[title] == nil {
			why = trouble
		}
		run.row(title, c, all[title], remarks[title], why)
	}
}

// broken deploys what cannot start, and what is right after a while.
func (run *comparedRun) broken(c contender) {
	if !run.may(c, brokenTitle) {
		return
	}
	f, remark := figures{}, ""
	failed := try(run.t, func(a *trial) {
		m := c.serve(a)
		if !m.answers(30*time.Second, "") {
			a.Fatalf("no answer after its start: %v", m.ask(time.Second))
		}
		right, err := os.ReadFile(m.wsgi)
		must(a, err)
		tr := run.load(a, m)
		tr.GoOn(a, calm)
		broken := time.Now()
		must(a, m.banner("broken"))
		must(a, os.WriteFile(m.wsgi, append([]byte("raise RuntimeError('broken on purpose')\n"), right...), 0o644))
		_ = m.deploy() // with some it fails, which is right
		<-time.After(time.Until(broken.Add(brokenFor)))
		must(a, errors.Join(m.banner("right"), os.WriteFile(m.wsgi, right, 0o644)))
		fixed := time.Now()
		must(a, m.restart())
		if !m.answers(30*time.Second, "right") {
			a.Fatalf("it does not answer after the fix: %v", m.ask(time.Second))
		}
		f["back"] = time.Since(fixed).Seconds()
		tr.GoOn(a, 2*calm)
		r := tr.Stop()
		add(f, r)
		remark = how(r)
		if r.ByBanner["broken"] > 0 {
			a.Errorf("%d answers of the broken release", r.ByBanner["broken"])
		}
	})
	run.row(brokenTitle, c, f, remark, failed)
}

// looping kills all while nothing can start.
func (run *comparedRun) looping(c contender) {
	if !run.may(c, loopTitle) {
		return
	}
	f, remark := figures{}, ""
	failed := try(run.t, func(a *trial) {
		m := c.serve(a)
		if !m.answers(30*time.Second, "") {
			a.Fatalf("no answer after its start: %v", m.ask(time.Second))
		}
		dead := filepath.Join(m.data, "dead")
		must(a, os.WriteFile(dead, nil, 0o644))
		before, begun := m.cpu(), time.Now()
		for _, all := range m.servers() {
			KillAll(a, all, syscall.SIGKILL)
		}
		<-time.After(loopFor - 2*time.Second)
		asked := m.ask(time.Second)
		remark = fmt.Sprintf("a client meanwhile: %s after %.1f s", asked.Outcome, asked.Ended.Seconds())
		<-time.After(time.Until(begun.Add(loopFor)))
		f["cpu"] = (m.cpu() - before).Seconds()
		tried, _ := os.ReadFile(filepath.Join(m.data, "starts")) // not there: nobody tried
		f["starts"] = float64(len(tried))
		must(a, os.Remove(dead))
		away := time.Now()
		if m.answers(loopFor, "") {
			f["back"], f["after"] = 1, time.Since(away).Seconds()
		} else {
			f["back"] = 0
			remark += "; gave up: a person has to start it"
		}
	})
	run.row(loopTitle, c, f, remark, failed)
}

// orphaned kills the supervisor itself.
func (run *comparedRun) orphaned(c contender) {
	if !run.may(c, supervisorTitle) {
		return
	}
	f, remark := figures{}, ""
	failed := try(run.t, func(a *trial) {
		m := c.serve(a)
		if !m.answers(30*time.Second, "") {
			a.Fatalf("no answer after its start: %v", m.ask(time.Second))
		}
		first := m.master()
		tr := run.load(a, m)
		tr.GoOn(a, calm)
		own := m.own()
		if len(own) == 0 || own[0] == 0 {
			a.Fatal("it has no processes of its own")
		}
		for _, pid := range own {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				a.Errorf("kill %d: %v", pid, err)
			}
		}
		<-time.After(time.Second) // its service manager
		m.again()
		<-time.After(4 * time.Second)
		masters := m.masters()
		f["masters"], f["same"] = float64(len(masters)), 0
		if slices.ContainsFunc(masters, func(p Process) bool { return p.Pid == first.Pid && p.Start == first.Start }) && len(masters) == 1 {
			f["same"] = 1
		}
		r := tr.Stop()
		add(f, r)
		remark = how(r)
		for _, all := range m.servers() {
			KillAll(a, all, syscall.SIGKILL)
		}
		f["again"] = 0
		if m.answers(15*time.Second, "") {
			f["again"] = 1
		}
	})
	run.row(supervisorTitle, c, f, remark, failed)
}

// unread kills what reads the output of a program.
func (run *comparedRun) unread(c contender) {
	if !run.may(c, logTitle) {
		return
	}
	f, remark := figures{}, ""
	failed := try(run.t, func(a *trial) {
		m := c.writer(a)
		Eventually(a, time.Minute, "the first line", func() (bool, string) {
			_, err := os.Stat(filepath.Join(m.data, "first"))
			return err == nil, fmt.Sprint(err)
		})
		<-time.After(2 * time.Second)
		readers := m.readers()
		if len(readers) == 0 {
			a.Fatal("nothing reads the output")
		}
		own := slices.Contains(m.own(), readers[0])
		for _, pid := range readers {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				a.Errorf("kill the reader %d: %v", pid, err)
			}
		}
		<-time.After(5 * time.Second)
		if own {
			m.again()
		}
		// It writes for 8 s, of which 7 have passed, or what it is blocked by goes on.
		written := filepath.Join(m.data, "written")
		lives := func() bool { _, err := os.Stat(written); return err == nil }
		for deadline := time.Now().Add(10 * time.Second); !lives() && time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		}
		f["lives"] = 0
		if lives() {
			f["lives"] = 1
			var said struct {
				Failed int
				Stall  float64
			}
			text, err := os.ReadFile(written)
			must(a, errors.Join(err, json.Unmarshal(text, &said)))
			f["stall"] = said.Stall * 1000
			if said.Failed > 0 {
				remark = fmt.Sprintf("%s writes failed", comparison.Thousands(float64(said.Failed)))
			}
		}
		<-time.After(time.Second) // what a reader holds back
		f["kept"] = float64(numberedLines(m.kept()))
	})
	run.row(logTitle, c, f, remark, failed)
}

// numberedLines counts the different lines of numbered_lines.py in a log.
func numberedLines(log string) int {
	found := map[string]bool{}
	for line := range strings.Lines(log) {
		if _, number, yes := strings.Cut(line, "line "); yes && strings.Contains(number, strings.Repeat("x", 80)+"\n") {
			number, _, _ = strings.Cut(number, " ")
			found[number] = true
		}
	}
	return len(found)
}

// many watches n children.
func (run *comparedRun) many(c contender, n int) {
	title := childrenTitle(n)
	if !run.may(c, title) {
		return
	}
	f, remark := figures{}, ""
	failed := try(run.t, func(a *trial) {
		begun := time.Now()
		m := c.children(a, n)
		alive := func() int {
			names, _ := os.ReadDir(m.data) // it is there
			return len(names)
		}
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for time.Since(begun) < time.Minute && alive() < n {
			<-again.C
		}
		if alive() < n {
			remark = fmt.Sprintf("all were waited for for %.0f s", time.Minute.Seconds())
		} else {
			f["started"] = time.Since(begun).Seconds()
		}
		<-time.After(max(2*time.Second, time.Until(begun.Add(m.settles)))) // what starting them has left to do
		children := m.named("sleep")
		f["alive"] = float64(len(children))
		own := m.own()
		before := cpuTicks(a, own)
		<-time.After(idleFor)
		f["ticks"] = float64(cpuTicks(a, own) - before)
		f["pss"], f["anon"] = float64(smapsKB(a, own, "Pss"))/1024, float64(anonKB(a, own))/1024
		f["processes"] = float64(len(own))
		var next []time.Duration
		for i := range min(killsOf(n), len(children)) {
			before := alive()
			begun := time.Now()
			if err := syscall.Kill(children[i], syscall.SIGKILL); err != nil {
				a.Fatalf("kill the child %d: %v", children[i], err)
			}
			soon := time.NewTicker(time.Millisecond)
			for alive() == before && time.Since(begun) < 20*time.Second {
				<-soon.C
			}
			soon.Stop()
			if alive() == before {
				a.Fatalf("child %d of %d has no successor after 20 s", i+1, n)
			}
			next = append(next, time.Since(begun))
		}
		if len(next) > 0 {
			f["next"] = ms(median(next))
		}
	})
	run.row(title, c, f, remark, failed)
}
