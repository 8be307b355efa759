package actor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// launches remembers how to start each version that may be started again, so that a restart after a
// crash needs no file, even if the file has changed since. There are few of each, so that a list is
// enough, which a thousand builds have in a fifth of the memory of maps.
type launches struct {
	settings  []runSettings
	processes []processSettings
	of        []recipe // of servers, and of processes
	works     []works
}

// runSettings is a build's entry and environment as one RunKey identifies them.
type runSettings struct {
	key     string
	entry   *config.Build
	environ []string
}

// processSettings is the same of a process beside the server.
type processSettings struct {
	runSettings
	process *config.Process
}

// recipe is how to start a version.
type recipe struct {
	version machine.Version
	*server.Recipe
}

// works says in which environment a release is known to work.
type works struct {
	release string
	in      environID
}

// know keeps an entry with its environment, and returns the RunKey that identifies everything a
// restart applies: the keys of the entry and the environment as it is now.
func (l *launches) know(entry *config.Build, environ []string) (runKey string) {
	set := runSettings{keyOf(config.RunKey(*entry), environ), entry, environ}
	l.settings = append(slices.DeleteFunc(l.settings, func(s runSettings) bool { return s.key == set.key }), set)
	return set.key
}

// knowProcess keeps what one process of an entry is, and returns the key that identifies it.
func (l *launches) knowProcess(entry *config.Build, p *config.Process, environ []string) (key string) {
	set := runSettings{keyOf(config.ProcessKey(*entry, *p), environ), entry, environ}
	l.processes = append(slices.DeleteFunc(l.processes, func(s processSettings) bool { return s.key == set.key }), processSettings{set, p})
	return set.key
}

func keyOf(keys string, environ []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", keys, strings.Join(environ, "\n"))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// set returns the run settings of a RunKey, if they are known.
func (l *launches) set(runKey string) (runSettings, bool) {
	for _, s := range l.settings {
		if s.key == runKey {
			return s, true
		}
	}
	return runSettings{}, false
}

// process returns the settings of a process by its key, if they are known.
func (l *launches) process(key string) (processSettings, bool) {
	for _, s := range l.processes {
		if s.key == key {
			return s, true
		}
	}
	return processSettings{}, false
}

// environ returns the environment of a RunKey, or otherwise if that is not known.
func (l *launches) environ(runKey string, otherwise []string) []string {
	if set, ok := l.set(runKey); ok {
		return set.environ
	}
	return otherwise
}

// recipe returns how to start v, if that is known.
func (l *launches) recipe(v machine.Version) (*server.Recipe, bool) {
	for _, r := range l.of {
		if r.version == v {
			return r.Recipe, true
		}
	}
	return nil, false
}

// release returns rel, or the same one where it is kept already.
func (l *launches) release(rel build.Release) *build.Release {
	for _, r := range l.of {
		if r.version.Release == rel.ID && r.Release.Dir == rel.Dir && r.Release.Hash == rel.Hash {
			return r.Release
		}
	}
	return &rel
}

// recipeOf returns how to start the server of v.
func (a *Actor) recipeOf(v machine.Version) (*server.Recipe, error) {
	if r, ok := a.launches.recipe(v); ok {
		return r, nil
	}
	set, err := a.settingsOf(v)
	if err != nil {
		return nil, err
	}
	return a.keepRecipe(v, set, nil)
}

// recipeOfProcess returns how to start instances of the process of v.
func (a *Actor) recipeOfProcess(v machine.Version) (*server.Recipe, error) {
	if r, ok := a.launches.recipe(v); ok {
		return r, nil
	}
	set, ok := a.launches.process(v.RunKey)
	if !ok {
		return nil, fmt.Errorf("start a process of release %s: its settings are not known", v.Release)
	}
	return a.keepRecipe(v, set.runSettings, set.process)
}

// settingsOf returns the run settings of v.
func (a *Actor) settingsOf(v machine.Version) (runSettings, error) {
	set, ok := a.launches.set(v.RunKey)
	if !ok {
		// The version is from an earlier run and the file was edited since. Starting it with
		// today's run settings is better than not starting it, and a candidate that has them is on
		// its way.
		if set, ok = a.launches.set(a.state.RunKey); !ok {
			return set, fmt.Errorf("start release %s: its run settings are not known", v.Release)
		}
	}
	return set, nil
}

func (a *Actor) keepRecipe(v machine.Version, set runSettings, p *config.Process) (*server.Recipe, error) {
	rel, owner, err := a.placeOf(v, set)
	if err != nil {
		return nil, err
	}
	r := server.NewRecipe(server.Recipe{
		Entry: set.entry, Environ: set.environ, Release: a.launches.release(rel), Paths: a.paths, RunKey: v.RunKey, Owner: owner, Process: p,
	})
	a.launches.of = append(a.launches.of, recipe{v, r})
	return r, nil
}

// placeOf returns what v runs from, and as whom.
func (a *Actor) placeOf(v machine.Version, set runSettings) (build.Release, config.Identity, error) {
	rel, err := a.Ports.Releases.Get(a.name, v.Release)
	if err != nil {
		return rel, config.Identity{}, err
	}
	owner, err := a.Ports.Host.Identity(set.entry)
	return rel, owner, err
}

// forget drops the run settings and recipes of versions that will not be started again.
func (a *Actor) forget() {
	st := a.state
	a.launches.of = slices.DeleteFunc(a.launches.of, func(r recipe) bool {
		v := r.version
		return v != st.Proven && v != st.Fallback && v != st.Candidate.Version && v != st.Serving.Version &&
			(v.Release != st.Release || v.RunKey != st.RunKey) && (v.Release != st.Proven.Release || !a.runsProcess(v.RunKey))
	})
	a.launches.settings = slices.DeleteFunc(a.launches.settings, func(s runSettings) bool {
		return s.key != st.RunKey && s.key != st.Proven.RunKey && s.key != st.Fallback.RunKey
	})
	a.launches.processes = slices.DeleteFunc(a.launches.processes, func(s processSettings) bool { return !a.runsProcess(s.key) })
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
	for _, r := range a.launches.of {
		keep = append(keep, a.paths.Conf(r.RunKey))
	}
	for _, g := range a.generations {
		keep = append(keep, a.paths.Conf(g.version.RunKey), a.paths.Temp(g.n), a.paths.Private(g.n))
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
