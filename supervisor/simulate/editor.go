package simulate

import (
	"fmt"
	"maps"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// source is what editors have written: the source, and the build's entry in the file.
type source struct {
	inputs inputs
	edits  int           // contents so far
	entry  *config.Build // as the file has it; nil: it is not in the file
	last   config.Build  // as the file had it last
}

// edit puts other contents into the source.
func (s *site) edit(boot boot, fail string) {
	s.edits++
	s.inputs = inputs{id: s.edits, boot: boot, fail: fail}
	s.editedAt = s.w.now()
	s.rolled, s.backless = false, false
	s.disturb()
	s.tell("an editor saves %v", s.inputs)
	s.w.touch(s.name)
	s.givesWay()
}

// givesWay holds that an attempt ends which newer inputs have overtaken, where it can.
func (s *site) givesWay() {
	w := s.w
	inc, n, at := w.sup, s.attempt, w.disturbed
	if inc == nil || inc.stopping || inc.backend == nil || !s.making || s.committed || !w.disk.good() || !s.sure || !inc.watched[s.name] {
		return
	}
	w.after(givesWayLimit, func() {
		if s.making && s.attempt == n && !s.committed && w.sup == inc && !inc.stopping && !inc.upgrading && w.disturbed == at && s.sure {
			s.breaks("an attempt gives way to newer inputs", "it still runs after %v", givesWayLimit)
		}
	})
}

// givesWayLimit bounds how long an attempt goes on whose inputs have changed: until the edit was
// seen.
const givesWayLimit = time.Second

// editFile changes what the file says of a build.
func (s *site) editFile(x uint64) {
	if s.entry == nil {
		return
	}
	b := s.wants()
	what := ""
	switch x % 11 {
	case 9:
		b.Replicas = 1 + int(x>>8%mostReplicas)
		what = fmt.Sprint("replicas = ", b.Replicas)
	case 10:
		b.Processes = processes[x>>8%uint64(len(processes))]
		what = fmt.Sprint("process, ", len(b.Processes), " of them")
	case 0, 1:
		b.Workers = 1 + int(x>>8%3)
		what = fmt.Sprint("workers = ", b.Workers)
	case 2, 3:
		b.Env = maps.Clone(b.Env)
		if b.Env == nil {
			b.Env = map[string]string{}
		}
		b.Env["GREETING"] = fmt.Sprint(x >> 8 % 100)
		what = "env"
	case 4:
		b.PipArgs = []string{fmt.Sprint("--made-up=", x>>8%5)}
		what = "pip_args"
	case 5:
		b.Health.Interval = []time.Duration{5, 10, 20, 40}[x>>8%4] * time.Second
		what = fmt.Sprint("health.interval = ", b.Health.Interval)
	case 6:
		b.GracefulTimeout = []time.Duration{2, 5, 10, 30}[x>>8%4] * time.Second
		what = fmt.Sprint("graceful_timeout = ", b.GracefulTimeout)
	case 7:
		b.KeepReleases = 1 + int(x>>8%4)
		what = fmt.Sprint("keep_releases = ", b.KeepReleases)
	case 8:
		b.RestartDelayMax = []time.Duration{5, 10, 30}[x>>8%3] * time.Second
		what = fmt.Sprint("restart_delay_max = ", b.RestartDelayMax)
	}
	s.entry = b
	s.last = *b
	s.editedAt = s.w.now()
	s.disturb()
	s.tell("an editor changes the file: %s", what)
	s.w.saved()
}

// saved is that builds.toml was written.
func (w *World) saved() {
	w.file.version++
	w.touch("")
}

// remove takes a build out of the file.
func (s *site) remove() {
	if s.entry == nil {
		return
	}
	s.entry = nil
	s.unsure()
	if s.wish == wishStopped {
		s.wish = wishUnsure
	}
	s.removedAt = s.w.now()
	s.disturb()
	s.tell("an editor takes the build out of the file")
	s.w.saved()
}

// add puts a build back into the file.
func (s *site) add() {
	if s.entry != nil {
		return
	}
	b := s.last
	s.entry, s.seenBy = &b, 0
	s.editedAt = s.w.now()
	if !b.Autostart {
		s.wish = wishUnsure
	}
	s.disturb()
	s.tell("an editor puts the build into the file")
	s.w.saved()
}
