package supervisor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// lookPatience is how long the sources of all builds may be looked at for a list of changes.
const lookPatience = 20 * time.Second

// changes returns what changes when next is applied in the place of what before follows: first what
// the file says, then each build that is made anew or started again for what its inputs are now, with
// what has changed.
func (s *Supervisor) changes(ctx context.Context, before *fleet, next *config.Config) []string {
	plan := config.Diff(before.cfg, next)
	all := plan.Lines(build.Secrets())
	ctx, cancel := context.WithTimeoutCause(ctx, lookPatience, fmt.Errorf("its inputs were not looked at within %v", lookPatience))
	defer cancel()
	found := make([][]string, len(next.Builds))
	var looks sync.WaitGroup
	for i := range next.Builds {
		b := &next.Builds[i]
		if a := before.actors[b.Name]; a != nil && !slices.Contains(plan.Added, b.Name) {
			looks.Go(func() { found[i] = s.inputChanges(ctx, a.View(), b, plan) })
		}
	}
	looks.Wait()
	return append(all, slices.Concat(found...)...)
}

// inputChanges returns what changes of a build because of its inputs. What its keys change is said
// already.
func (s *Supervisor) inputChanges(ctx context.Context, v *actor.View, b *config.Build, plan config.Plan) (all []string) {
	st := v.State
	if st.Want == machine.WantStopped {
		return nil // a start looks at them
	}
	line := func(format string, args ...any) {
		all = append(all, b.Name+": "+fmt.Sprintf(format, args...))
	}
	why, err := s.world.Releases.Why(ctx, b)
	switch {
	case err != nil && ctx.Err() != nil:
		line("%v", context.Cause(ctx))
	case err != nil:
		line("cannot be rebuilt: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	case why.Release != "" && why.Release != st.LastBuilt && st.LastBuilt != "":
		line("the inputs are those of release %s again: it takes over", why.Release)
	case why.Release == "":
		keys := keysOf(plan, b.Name)
		for _, what := range why.Because {
			name, _, _ := strings.Cut(what, " ")
			if said := slices.Contains(keys, name) || name == "a" && len(keys) > 0; !said {
				line("%s: %s", what, config.CostRebuild)
			}
		}
		if len(why.Because) == 0 {
			line("%s", config.CostRebuild)
		}
	}
	environ, err := s.world.Host.Environ(b)
	if err != nil {
		line("the previous environment stays in use: %v", err)
		return all
	}
	for _, what := range environChanges(v.Environ, environ, before(b, plan)) {
		line("%s: %s", what, config.CostRestart)
	}
	return all
}

// keysOf returns the keys of a build that a plan changes.
func keysOf(plan config.Plan, name string) []string {
	for _, c := range plan.Changed {
		if c.Name == name {
			return c.Keys
		}
	}
	return nil
}

// before returns which variables of a build the file itself sets or has set: what changes of them is
// said with its keys.
func before(b *config.Build, plan config.Plan) map[string]bool {
	named := map[string]bool{}
	for name := range b.Env {
		named[name] = true
	}
	for _, c := range plan.Changed {
		if c.Name != b.Name {
			continue
		}
		for _, e := range c.Edits {
			if e.Key != "env" {
				continue
			}
			for _, text := range e.Texts(build.Secrets()) {
				name, _, _ := strings.Cut(strings.TrimPrefix(text, "env."), " ")
				named[name] = true
			}
		}
	}
	return named
}

// environChanges names the variables that differ between two environments, without their values, but
// for those that are said elsewhere.
func environChanges(was, is []string, said map[string]bool) (all []string) {
	if was == nil {
		return nil // nothing was started with one
	}
	fates := map[string]string{}
	before, now := variables(was), variables(is)
	for name, value := range now {
		switch old, ok := before[name]; {
		case !ok:
			fates[name] = "added"
		case old != value:
			fates[name] = "changed"
		}
	}
	for name := range before {
		if _, ok := now[name]; !ok {
			fates[name] = "removed"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		if !said[name] {
			all = append(all, "variable "+name+" "+fates[name])
		}
	}
	return all
}

func variables(environ []string) map[string]string {
	all := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		all[name] = value
	}
	return all
}
