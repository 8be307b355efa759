package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

var shutdown machine.Event = machine.Shutdown{}

// reload reads the file again and applies what changed, in it and in the
// builds' inputs; dry only says what would change. A file that is bad, or that
// cannot be applied while running, changes nothing.
func (s *Supervisor) reload(dry bool) ([]string, error) {
	if s.upgrading() {
		return nil, errUpgrading
	}
	next, err := config.Load(s.Config.Path)
	if err == nil && next.Root != s.root {
		err = fmt.Errorf("%s: root changed from %s to %s: stop and start the supervisor to move it; nothing was changed", next.Path, s.root, next.Root)
	}
	if !dry {
		s.mu.Lock()
		s.configErr = err
		s.mu.Unlock()
	}
	if err != nil {
		if !dry {
			s.watchMending(err)
		}
		return nil, err
	}
	plan := config.Diff(s.current(), next)
	changes := lines(plan.String())
	if dry {
		return changes, nil
	}
	s.apply(next)
	for _, a := range s.all() {
		a.post(machine.InputsChanged{})
	}
	return changes, nil
}

// watchMending watches what the file names and is not there, or is bad, beside
// what runs: when it comes, the file is good.
func (s *Supervisor) watchMending(err error) {
	var wrong config.Errors
	if errors.As(err, &wrong) {
		s.watcher.Set(append(targets(s.current()), watch.Target{Files: wrong.About()}))
	}
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func (s *Supervisor) current() *config.Config {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cfg
}

func (s *Supervisor) all() []*actor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	actors := make([]*actor, 0, len(s.actors))
	for _, a := range s.actors {
		actors = append(actors, a)
	}
	return actors
}

// touched takes up what the watcher saw; what the contents say decides.
func (s *Supervisor) touched(ids []string) {
	if s.upgrading() {
		s.missed = append(s.missed, ids...)
		return
	}
	cfg := s.current()
	for _, id := range ids {
		if id == "" {
			s.fileTouched()
			cfg = s.current()
			continue
		}
		b, ok := cfg.Build(id)
		if !ok {
			continue
		}
		inputs := readInputs(b)
		s.mu.Lock()
		same := s.inputs[id] == inputs && !b.WatchSource
		s.inputs[id] = inputs
		a := s.actors[id]
		s.mu.Unlock()
		if same || a == nil {
			continue
		}
		s.log.Info("inputs changed", "build", id)
		a.post(configured{entry: &b}) // its env_file may be what changed
		a.post(machine.InputsChanged{})
	}
}

// fileTouched applies an edit of the file.
func (s *Supervisor) fileTouched() {
	s.mu.RLock()
	before, leaving := s.cfg, s.leaving
	wrong := s.configErr
	s.mu.RUnlock()
	if leaving {
		return
	}
	next, err := config.Load(s.Config.Path)
	if err == nil && next.Sum == before.Sum && wrong == nil {
		return
	}
	if err != nil && wrong != nil && err.Error() == wrong.Error() {
		return // said before
	}
	if _, err := s.reload(false); err != nil {
		s.log.Error("edited file is not applied, what ran before runs on", "error", err)
		return
	}
	s.log.Info("edited file is applied", "path", s.Config.Path)
}

// apply makes what runs follow cfg, touching only what differs.
func (s *Supervisor) apply(cfg *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaving {
		s.applyBuilds(cfg, s.applyShared(cfg))
	}
}

// applyShared does so for what the builds share, and answers what is to be done
// for each. The caller holds mu.
func (s *Supervisor) applyShared(cfg *config.Config) config.Plan {
	before := s.cfg
	if before == nil {
		before = &config.Config{Root: cfg.Root}
	}
	s.cfg, s.loaded = cfg, time.Now()
	s.log.SetLevel(hclog.LevelFromString(cfg.Supervisor.LogLevel))
	s.maker.SetParallel(cfg.Supervisor.MaxParallelBuilds)
	s.logs.Store(cfg.Supervisor.LogDir)
	if err := os.MkdirAll(cfg.Supervisor.LogDir, 0o750); err != nil {
		s.log.Error("log folder cannot be made, builds cannot start", "error", err)
	}
	s.front.SetRoutes(append(routes(cfg), s.dashboardRoute(cfg.Supervisor)...))
	if before.Supervisor.Front != cfg.Supervisor.Front {
		s.placeFront(cfg.Supervisor.Front)
	}
	if err := process.MakeRoom(descriptorsEach * len(cfg.Builds)); err != nil {
		s.log.Debug("descriptors are opened one after the other", "error", err)
	}
	return config.Diff(before, cfg)
}

// descriptorsEach is how many a build that serves needs, a pidfd and two of its
// listener, and one for what goes on beside.
const descriptorsEach = 4

// applyBuilds carries out a plan. The caller holds mu.
func (s *Supervisor) applyBuilds(cfg *config.Config, plan config.Plan) {
	for _, name := range plan.Removed {
		if a, ok := s.actors[name]; ok {
			a.post(machine.Removed{})
		}
		delete(s.inputs, name)
	}
	for _, name := range plan.Added {
		b, _ := cfg.Build(name)
		s.configure(b, true)
	}
	for _, change := range plan.Changed {
		b, _ := cfg.Build(change.Name)
		s.configure(b, change.Cost == config.CostRebuild)
	}
	s.watcher.Set(targets(cfg))
}

// configure brings a build's entry to its actor, which is made where there is
// none. The caller holds mu.
func (s *Supervisor) configure(b config.Build, rebuild bool) {
	s.inputs[b.Name] = readInputs(b)
	a, ok := s.actors[b.Name]
	if !ok {
		a = s.enlist(b)
	}
	a.post(configured{entry: &b, rebuild: rebuild})
}

// retired takes an actor that has ended off the list. Where its build has come
// back to the file meanwhile, a new one takes its place.
func (s *Supervisor) retired(a *actor) {
	select {
	case s.requests <- func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.actors, a.name)
		s.metrics.Forget(a.name)
		if b, ok := s.cfg.Build(a.name); ok && !s.leaving {
			s.configure(b, false)
		}
	}:
	case <-s.ended:
	}
}

func routes(cfg *config.Config) []front.Route {
	var all []front.Route
	for _, b := range cfg.Builds {
		if b.Location != "" {
			all = append(all, front.Route{Build: b.Name, Location: b.Location, Socket: cfg.Socket(b.Name)})
		}
	}
	return all
}

// targets lists what is watched: the file, and what goes into each build.
func targets(cfg *config.Config) []watch.Target {
	all := []watch.Target{{Files: []string{cfg.Path}}}
	for _, b := range cfg.Builds {
		t := watch.Target{ID: b.Name, Files: inputFiles(b)}
		if b.WatchSource {
			t.Trees = []string{b.Source}
		}
		all = append(all, t)
	}
	return all
}

func inputFiles(b config.Build) []string {
	files := []string{b.SettingsFile()}
	files = append(files, build.RequirementFiles(b)...)
	if b.EnvFile != "" {
		files = append(files, b.EnvFile)
	}
	return files
}

// readInputs answers a hash of what the watched files of b read as now.
func readInputs(b config.Build) string {
	h := sha256.New()
	for _, path := range inputFiles(b) {
		var text []byte
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() { // a pipe would hold us up
			text, err = os.ReadFile(path)
		}
		fmt.Fprintf(h, "%s %d %v\n", path, len(text), err)
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// endForeign ends what an earlier supervisor left of builds that the file no
// longer has.
func (s *Supervisor) endForeign(all map[string][]leftover) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, ok := s.Config.Build(name); ok {
			continue
		}
		for _, l := range all[name] {
			s.log.Warn("generation of a build that is not in the file any more is ended", "build", name, "generation", l.n, "pids", l.pids())
			child := s.table.Remains(l.leader.Pid, l.leader.StartTime, l.mark)
			s.task(func() {
				if err := child.End(s.hard, leftoverGrace); err != nil {
					s.log.Error("leftover generation does not end", "build", name, "generation", l.n, "error", err)
				}
			})
		}
		a := filepath.Join(s.root, name, "gunicorn.sock")
		if err := os.Remove(a); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("public socket of a removed build stays", "path", a, "error", err)
		}
	}
}

// names of all builds, as the file has them.
func names(cfg *config.Config) []string {
	all := make([]string, len(cfg.Builds))
	for i, b := range cfg.Builds {
		all[i] = b.Name
	}
	return slices.Clip(all)
}
