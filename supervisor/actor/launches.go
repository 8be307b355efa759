package actor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// launches remembers how to start each version that may be started again, so that a restart after a
// crash needs no file, even if the file has changed since.
type launches struct {
	settings  map[string]runSettings             // by RunKey
	processes map[string]processSettings         // by the key of a process
	of        map[machine.Version]*server.Launch // of servers, and of processes
	works     map[string]string                  // by release: the environment in which it is known to work
}

// runSettings is a build's entry and environment as one RunKey identifies them.
type runSettings struct {
	entry   *config.Build
	environ []string
}

// processSettings is the same of a process beside the server.
type processSettings struct {
	runSettings
	process config.Process
}

func newLaunches() launches {
	return launches{settings: map[string]runSettings{}, processes: map[string]processSettings{}, of: map[machine.Version]*server.Launch{}, works: map[string]string{}}
}

// know keeps an entry with its environment, and returns the RunKey that identifies everything a
// restart applies: the keys of the entry and the environment as it is now.
func (l *launches) know(entry *config.Build, environ []string) (runKey string) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", config.RunKey(*entry), strings.Join(environ, "\n"))
	runKey = hex.EncodeToString(h.Sum(nil))[:16]
	l.settings[runKey] = runSettings{entry, environ}
	return runKey
}

// knowProcess keeps what one process of an entry is, and returns the key that identifies it.
func (l *launches) knowProcess(entry *config.Build, p config.Process, environ []string) (key string) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", config.ProcessKey(*entry, p), strings.Join(environ, "\n"))
	key = hex.EncodeToString(h.Sum(nil))[:16]
	l.processes[key] = processSettings{runSettings{entry, environ}, p}
	return key
}

// environ returns the environment of a RunKey, or otherwise if that is not known.
func (l *launches) environ(runKey string, otherwise []string) []string {
	if set, ok := l.settings[runKey]; ok {
		return set.environ
	}
	return otherwise
}

// launchOf returns how to start v.
func (a *Actor) launchOf(v machine.Version) (*server.Launch, error) {
	if l, ok := a.launches.of[v]; ok {
		return l, nil
	}
	l, err := a.prepare(v, func(set runSettings, p server.Place, owner config.Identity) *server.Launch {
		return server.Prepare(set.entry, set.environ, p, owner)
	})
	if err == nil {
		a.launches.of[v] = l
	}
	return l, err
}

// prepare returns what with makes of the release and the run settings of v.
func (a *Actor) prepare(v machine.Version, with func(runSettings, server.Place, config.Identity) *server.Launch) (*server.Launch, error) {
	set, ok := a.launches.settings[v.RunKey]
	if !ok {
		// The version is from an earlier run and the file was edited since. Starting it with
		// today's run settings is better than not starting it, and a candidate that has them is on
		// its way.
		if set, ok = a.launches.settings[a.state.RunKey]; !ok {
			return nil, fmt.Errorf("start release %s: its run settings are not known", v.Release)
		}
	}
	return a.prepareWith(set, v, with)
}

func (a *Actor) prepareWith(set runSettings, v machine.Version, with func(runSettings, server.Place, config.Identity) *server.Launch) (*server.Launch, error) {
	rel, err := a.Ports.Releases.Get(a.name, v.Release)
	if err != nil {
		return nil, err
	}
	owner, err := a.Ports.Host.Identity(set.entry)
	if err != nil {
		return nil, err
	}
	return with(set, server.Place{Release: rel, Paths: a.paths, RunKey: v.RunKey}, owner), nil
}

// forget drops the run settings and launches of versions that will not be started again.
func (a *Actor) forget() {
	st := a.state
	for v := range a.launches.of {
		if v == st.Proven || v == st.Fallback || v == st.Candidate.Version || v == st.Serving.Version ||
			v.Release == st.Release && v.RunKey == st.RunKey || v.Release == st.Proven.Release && a.runsProcess(v.RunKey) {
			continue
		}
		delete(a.launches.of, v)
	}
	for key := range a.launches.settings {
		if key != st.RunKey && key != st.Proven.RunKey && key != st.Fallback.RunKey {
			delete(a.launches.settings, key)
		}
	}
	for key := range a.launches.processes {
		if !a.runsProcess(key) {
			delete(a.launches.processes, key)
		}
	}
	a.dropFiles()
}

// runsProcess says that the file asks for a process with that key.
func (a *Actor) runsProcess(key string) bool {
	return slices.ContainsFunc(a.state.Policy.Processes, func(p machine.ProcessPolicy) bool { return p.Key == key })
}

// dropFiles removes generated files that no launch and no generation needs; they are written again
// when needed.
func (a *Actor) dropFiles() {
	var keep []string
	needed := func(l *server.Launch) {
		for _, f := range l.Files {
			keep = append(keep, f.Path)
		}
	}
	for _, l := range a.launches.of {
		needed(l)
	}
	for _, g := range a.generations {
		needed(g.launch)
		keep = append(keep, a.paths.Temp(g.n), a.paths.Private(g.n))
	}
	for _, t := range a.oneOffs {
		if t.left() {
			keep = append(keep, a.paths.TempOfTask(t.ID))
		}
	}
	for _, n := range a.state.Ending {
		keep = append(keep, a.paths.Temp(n), a.paths.Private(n))
	}
	a.warn("remove old generated files", a.Ports.Host.DropFiles(a.paths, keep...))
}
