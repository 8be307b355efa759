package supervisor

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/claim"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// takeOver begins to supervise what the file says. First it adopts everything that an earlier run
// left: adopting a thousand builds is quicker than starting a server or checking the inputs of
// each.
func (s *Supervisor) takeOver() {
	found, err := s.leftovers()
	if err != nil {
		s.log.Error("cannot look for what an earlier run left", "error", err)
	}
	s.endForeign(found)
	cfg := s.Config
	plan := config.Diff(s.fleet.Load().cfg, cfg)
	s.applyShared(cfg)
	if s.Wrong != nil {
		s.log.Error("the file cannot be applied, builds follow its last good copy until it is fixed", "error", s.Wrong)
		s.publish(func(f *fleet) { f.err = s.Wrong })
	}
	for i := range cfg.Builds {
		s.enlist(&cfg.Builds[i], found[cfg.Builds[i].Name])
	}
	<-s.caughtUp()
	s.world.Past.Adopted()
	s.applyBuilds(cfg, plan)
}

// leftovers looks for what says that earlier supervisors of this root left it running, by build.
func (s *Supervisor) leftovers() (map[string]*claim.Claims, error) {
	found, cgroups, err := s.world.Trees.Marked(s.world.RootID + "/")
	if err != nil {
		return nil, err
	}
	return claim.Sort(s.world.RootID, found, cgroups), nil
}

// confirmed returns what an earlier supervisor really left running of a build, the newest generation
// first, and its tasks. What only says so is left alone: it is not adopted, signalled or waited for.
func (s *Supervisor) confirmed(b *config.Build, record state.Record, found *claim.Claims) (left, tasks []actor.Leftover) {
	e := claim.Evidence{RootID: s.world.RootID, BootID: s.world.BootID, Record: record, User: os.Geteuid()}
	switch as, err := s.world.Host.Identity(b); {
	case err != nil:
		e.User = nobody
	case as.UID >= 0:
		e.User = as.UID
	}
	left, tasks, refused := e.Confirm(b.Name, found)
	for _, p := range refused {
		s.log.Warn("process says that it belongs to a build, which nothing confirms, so it is left alone",
			"build", b.Name, "pid", p.Pid, "user", p.User, "mark", p.Mark)
	}
	return left, tasks
}

// nobody is the user of no process.
const nobody = -2

// foreignGrace is how long a generation of a build that is no longer in the file may take to finish
// its requests.
const foreignGrace = 30 * time.Second

// endForeign ends what an earlier supervisor left of builds that the file no longer has, as if they
// had just been taken out of it: whoever waits on their sockets is served first. Their records go
// too, also where nothing is running.
func (s *Supervisor) endForeign(all map[string]*claim.Claims) {
	names, err := s.world.Store.Names()
	if err != nil {
		s.log.Warn("records of builds that are not in the file any more are kept", "error", err)
	}
	names = append(names, s.world.Past.Builds()...)
	for name, said := range all {
		// Where there is not even a record, it may be that nothing of this was ever a build.
		if _, inFile := s.Config.Build(name); inFile || slices.Contains(names, name) {
			continue
		}
		if left, tasks := s.confirmed(&config.Build{Name: name}, state.Record{}, said); len(left)+len(tasks) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if _, ok := s.Config.Build(name); ok {
			continue
		}
		s.log.Warn("build is not in the file any more, what is left of it is ended", "build", name)
		s.enlist(&config.Build{Name: name, GracefulTimeout: foreignGrace}, all[name]).Remove()
	}
}

// enlist makes and starts the actor of a build. said is what says that it is left of it by an earlier
// supervisor.
func (s *Supervisor) enlist(b *config.Build, said *claim.Claims) *actor.Actor {
	log := s.log.With("build", b.Name)
	if err := s.world.Releases.Tidy(b.Name); err != nil {
		log.Warn("leftovers of an earlier run cannot be removed", "error", err)
	}
	if err := s.world.Sockets.Tidy(b.Name); err != nil {
		log.Warn("socket names of an earlier run cannot be removed", "error", err)
	}
	releases, err := s.world.Releases.List(b.Name)
	if err != nil {
		log.Warn("releases of an earlier run cannot be listed", "error", err)
	}
	a := actor.New(s.shared, b)
	record, ok := s.recall(b.Name)
	found, tasks := s.confirmed(b, record, said)
	if ok {
		a.Restore(record, releases, found)
	}
	if err == nil {
		a.Releases(releases)
	}
	s.publish(func(f *fleet) { f.actors = f.with(a) })
	a.AdoptTasks(tasks)
	a.Adopt(found, s.world.Past.Sockets(b.Name))
	return a
}

// recall reads the record of an earlier run of a build. An unreadable file is moved aside and kept,
// so that somebody can look at it.
func (s *Supervisor) recall(name string) (state.Record, bool) {
	record, found, err := s.world.Store.Load(name)
	var corrupt *state.CorruptError
	switch log := s.log.With("build", name); {
	case errors.As(err, &corrupt):
		aside, failed := s.world.Store.SetAside(name)
		log.Error("state of an earlier run is damaged, the build starts without it", "error", errors.Join(err, failed), "kept", aside)
	case err != nil:
		log.Error("state of an earlier run cannot be read, the build starts without it", "error", err)
	}
	return record, found && err == nil
}

// caughtUp returns a channel that is closed when every actor has handled everything it was sent.
func (s *Supervisor) caughtUp() <-chan struct{} {
	all := s.fleet.Load().all()
	ups := make([]<-chan struct{}, len(all))
	for i, a := range all {
		ups[i] = a.CaughtUp()
	}
	done := make(chan struct{})
	s.task(func() {
		defer close(done)
		for i, a := range all {
			select {
			case <-ups[i]:
			case <-a.Done():
			}
		}
	})
	return done
}
