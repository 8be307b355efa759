package e2e

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// loss is a request without a good answer.
type loss struct {
	way  way
	shot Shot
	due  time.Time
	why  string // empty: nobody knows
	// hands: a process that was killed or stopped had it. Behind a proxy, more than one.
	hands bool
}

// report says what was done and what it cost, as Markdown, and fails the test where something was lost
// that may not be.
func (c *chaos) report(length time.Duration) string {
	c.t.Helper()
	var out strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	host, _ := os.Hostname()
	var uts syscall.Utsname
	_ = syscall.Uname(&uts) // it takes any buffer
	release := strings.TrimRight(fmt.Sprint(text(uts.Release[:])), "\x00")
	say("# Chaos: %v, SEED=%d\n", length, c.seed)
	say("%s, %s, Linux %s, %d processors, load %s", c.began.Format("2006-01-02 15:04"), host, release, runtime.NumCPU(), strings.TrimSpace(readAll("/proc/loadavg")))
	if c.disk == nil {
		say("\nNo full and no read-only disk: %s.", c.noDisk)
	}

	kinds := map[string]int{}
	for _, f := range c.faults {
		kinds[f.Kind]++
	}
	say("\n## %d faults\n", len(c.faults))
	say("| fault | times |\n| --- | --- |")
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		say("| %s | %d |", kind, kinds[kind])
	}

	var lost []loss
	say("\n## Requests\n")
	say("| way | build | sent | lost | in a killed worker's hands | turned away with a 503 | median | 99 %% | slowest |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	sent := 0
	for _, w := range c.ways {
		r := w.tr.Stop()
		marks := c.marks(w.build)
		hands, gone := 0, 0
		for _, s := range r.Shots {
			if strings.HasPrefix(s.Banner, "bad-") {
				c.complain("%s to %s: a broken release served: %v", w.via, w.build, s)
			}
			if s.Outcome == OK {
				continue
			}
			l := loss{way: w, shot: s, due: w.tr.start.Add(s.Due)}
			c.explain(&l, marks)
			lost = append(lost, l)
			if l.hands {
				hands++
			}
			if s.Outcome != Unavailable {
				gone++
			}
		}
		sent += r.Total
		ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
		say("| %s | %s | %d | %d | %d | %d | %v | %v | %v |", w.via, w.build, r.Total, gone, hands, r.By[Unavailable], ms(r.P50), ms(r.P99), ms(r.Slowest))
		if r.Rate() < enough*r.Wanted {
			c.complain("%s to %s: only %.1f requests a second were sent, of %.1f", w.via, w.build, r.Rate(), r.Wanted)
		}
	}
	say("\n%d requests.", sent)

	say("\n## What was lost, and why\n")
	byWhy := map[string]int{}
	unexplained := 0
	for _, l := range lost {
		why := l.why
		if why == "" {
			why = "UNEXPLAINED"
			unexplained++
		}
		byWhy[fmt.Sprintf("%s: %s: %s", l.way.via, l.shot.Outcome, why)]++
	}
	if len(lost) == 0 {
		say("Nothing.")
	}
	for i, why := range slices.Sorted(maps.Keys(byWhy)) {
		if i < 200 {
			say("- %d: %s", byWhy[why], why)
		}
	}
	if unexplained > 0 {
		c.t.Errorf("%d requests were lost, and nothing says why", unexplained)
		say("\n### Without an explanation\n")
		shown := 0
		for _, l := range lost {
			if shown++; l.why == "" && shown < 60 {
				say("- %s, %s to %s: %v; under %s; marks %+v", l.due.Format("15:04:05.000"), l.way.via, l.way.build, l.shot, c.during(l.way.build, l.due, l.due.Add(l.shot.Latency())), c.marks(l.way.build)[l.id()])
			}
		}
	}

	say("\n## The slowest\n")
	for _, w := range c.ways {
		shots := slices.DeleteFunc(slices.Clone(w.tr.Stop().Shots), func(s Shot) bool { return s.Outcome != OK })
		if len(shots) > 0 {
			s := slices.MaxFunc(shots, func(a, b Shot) int { return int(a.Latency() - b.Latency()) })
			due := w.tr.start.Add(s.Due)
			say("- %s to %s: %v, at %s, under %s", w.via, w.build, s.Latency().Round(time.Millisecond), due.Format("15:04:05.000"), c.during(w.build, due, due.Add(s.Latency())))
		}
	}

	if len(c.wrong) > 0 {
		say("\n## What else was wrong\n")
		for _, text := range c.wrong {
			say("- %s", text)
		}
		c.t.Errorf("chaos: %s", strings.Join(c.wrong, "\n"))
	}
	say("\n## Each fault\n")
	for _, f := range c.faults {
		until := ""
		if !f.Until.IsZero() {
			until = fmt.Sprintf(", over after %v", f.Until.Sub(f.At).Round(time.Millisecond))
		}
		say("- %s %v%s", f.At.Format("15:04:05.000"), f, until)
	}
	return out.String()
}

func text(raw []int8) string {
	var b strings.Builder
	for _, c := range raw {
		b.WriteByte(byte(c))
	}
	return b.String()
}

// id is what the request is called in the marks.
func (l loss) id() string { return fmt.Sprintf("%s-%d", l.way.name, l.shot.ID) }

// during names the faults that a build was under, and what was hurt in the second before.
func (c *chaos) during(build string, from, to time.Time) string {
	var names []string
	for _, f := range c.faults {
		if f.Build != "" && f.Build != build {
			continue
		}
		if f.Until.IsZero() && f.At.After(from.Add(-time.Second)) && f.At.Before(to) || !f.Until.IsZero() && f.covers(from, to) {
			names = append(names, f.String())
		}
	}
	if len(names) == 0 {
		return "nothing that is known"
	}
	return strings.Join(names[max(0, len(names)-8):], ", ")
}

// explain finds out why a request was lost, by what its worker wrote down and by what was done to the
// processes and names it needed at that time. That something happened at the same time explains
// nothing by itself.
func (c *chaos) explain(l *loss, marks map[string][]mark) {
	ended := l.due.Add(l.shot.Latency())
	killed := 0
	for _, m := range marks[l.id()] {
		for _, h := range c.hurt[m.pid] {
			// Stopped first and killed later, or killed while it had it.
			if !m.done && (h.sig == syscall.SIGSTOP && h.at.Before(ended) || !h.at.Before(m.had.Add(-10*time.Millisecond)) && !h.at.After(ended.Add(50*time.Millisecond))) {
				killed++
				l.why = "in a killed worker's hands"
				if h.sig == syscall.SIGSTOP {
					l.why = "in the hands of a worker that was stopped with SIGSTOP"
				}
				break
			}
		}
	}
	if killed > 0 {
		l.hands = true
		if l.way.via != "direct" {
			if l.why += ", the second time too"; killed < 2 {
				l.why, l.hands = "", false
			}
		}
		return
	}
	for _, f := range c.faults {
		if f.Build != "" && f.Build != l.way.build || !f.covers(l.due, ended) {
			continue
		}
		switch {
		case f.Kind == "stop and start by command":
			l.why = "the build was stopped by command"
		case f.Kind == "deleted socket" && slices.Contains([]Outcome{Missing, Refused, BadStatus, Unavailable}, l.shot.Outcome):
			l.why = "somebody had taken the socket's name away"
		case f.Kind == "deleted folder" && strings.HasSuffix(strings.SplitN(f.Note, ": ", 3)[1], l.way.build) && slices.Contains([]Outcome{Missing, Refused, BadStatus, Unavailable}, l.shot.Outcome):
			l.why = "somebody had deleted the build's folder, with the socket's name"
		case f.Kind == "restart of Nginx" && l.way.via == "nginx":
			l.why = "Nginx itself was being restarted"
		case f.Kind == "kill -9 of the supervisor" && l.way.via == "front" && slices.Contains([]Outcome{Cut, Reset}, l.shot.Outcome) &&
			l.due.Before(f.At.Add(100*time.Millisecond)) && ended.After(f.At.Add(-100*time.Millisecond)):
			l.why = "in the hands of the front, which is in the supervisor that was killed"
		default:
			continue
		}
		return
	}
	if l.shot.Outcome == Unavailable {
		for _, s := range c.down {
			if s.build == l.way.build && s.from.Before(ended) && s.to.After(l.due) {
				l.why = s.why
				return
			}
		}
	}
}

// refusal is a time in which a build had nothing that could serve, as the supervisor said then.
type refusal struct {
	build, why string
	from, to   time.Time
}

// watch notes such times until it is told to stop.
func (c *chaos) watch(stop <-chan struct{}) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for before := time.Now(); ; {
		select {
		case <-stop:
			return
		case <-again.C:
		}
		s, err := c.Status()
		now := time.Now()
		if err == nil {
			c.mu.Lock()
			for _, b := range s.Builds {
				if b.State != "running" && b.State != "unhealthy" {
					c.down = append(c.down, refusal{b.Name, fmt.Sprintf("the build was in state %s", b.State), before.Add(-100 * time.Millisecond), now.Add(100 * time.Millisecond)})
				}
			}
			c.mu.Unlock()
		}
		before = now
	}
}
