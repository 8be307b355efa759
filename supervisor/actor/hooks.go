package actor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// hooks is the lifetime of the running hooks, which ends with the build, and what they were called for.
type hooks struct {
	life    lifetime
	alerted []string // kinds of failures that on_failure was called for since the build was well; never changed in place
}

// hookLimit is how long a hook may take before its processes are ended.
const hookLimit = 30 * time.Second

// keepsEnding is how often in a row a process ends before on_failure is called. Once may be chance.
const keepsEnding = 2

// kindOf returns what on_failure is called for once until the build is well again; "": it is not
// called. A failure of another release, of another process or of another schedule, is another one.
func kindOf(e machine.Note) string {
	switch e.Event {
	case machine.EventBuildFailed, machine.EventGaveWay, machine.EventExited, machine.EventUnhealthy, machine.EventReplicaFailed:
		return string(e.Event)
	case machine.EventCandidateFailed:
		return string(e.Event) + " " + e.Release
	case machine.EventProcessExited:
		if process, _, _ := strings.Cut(e.Reason, ":"); e.Times >= keepsEnding {
			return string(e.Event) + " " + process
		}
	case machine.EventScheduleFailed:
		name, _, _ := strings.Cut(e.Reason, ":")
		return string(e.Event) + " " + name
	}
	return ""
}

// callHook calls the hook of an event, if the build has one.
func (a *Actor) callHook(e machine.Note) {
	if a.state.Want != machine.WantServe {
		return
	}
	if e.Event == machine.EventTookOver {
		a.runHook(a.entry.Hooks.AfterSwap, e)
		return
	}
	kind := kindOf(e)
	known := slices.Contains(a.hooks.alerted, kind)
	anew := e.Event == machine.EventBuildFailed && e.Times <= 1 // no repetition by itself of what failed before
	if kind == "" || len(a.entry.Hooks.OnFailure) == 0 || known && !anew {
		return
	}
	if !known {
		a.hooks.alerted = append(slices.Clone(a.hooks.alerted), kind)
		a.save()
	}
	a.runHook(a.entry.Hooks.OnFailure, e)
}

// callRecovery calls on_recovery once a build is well again whose on_failure was called. A stop
// ends that, too, but is no recovery.
func (a *Actor) callRecovery() {
	well := a.state.IsWell() && !slices.ContainsFunc(a.hooks.alerted, a.stillFails)
	if len(a.hooks.alerted) == 0 || !well && a.state.Want != machine.WantStopped {
		return
	}
	kinds := strings.Join(a.hooks.alerted, ", ")
	a.hooks.alerted = nil
	a.save()
	if well {
		a.runHook(a.entry.Hooks.OnRecovery, machine.Note{Event: machine.EventRecovered, Release: a.state.Serving.Version.Release, Reason: "after " + kinds})
	}
}

// stillFails says that the last run of the schedule failed that on_failure was called for, if kind is that
// of one.
func (a *Actor) stillFails(kind string) bool {
	name, is := strings.CutPrefix(kind, string(machine.EventScheduleFailed)+" schedule ")
	d := a.schedules.of[name]
	return is && d != nil && d.last != nil && d.last.Result != RunGood
}

// runHook runs a hook concurrently. Its result is logged and changes nothing.
func (a *Actor) runHook(command []string, e machine.Note) {
	if len(command) == 0 {
		return
	}
	entry := a.entry
	release := cmp.Or(a.state.Serving.Version.Release, e.Release, a.state.Proven.Release) // for the braces
	about := []string{"MEDCTRL_BUILD=" + a.name, "MEDCTRL_RELEASE=" + e.Release, "MEDCTRL_EVENT=" + string(e.Event),
		"MEDCTRL_REASON=" + inVariable(e.Reason), "MEDCTRL_DATA=" + a.paths.Data()}
	a.during(&a.hooks.life, func(life context.Context) {
		begun := time.Now()
		ctx, cancel := context.WithTimeoutCause(life, hookLimit, fmt.Errorf("ended because it took longer than %v", hookLimit))
		defer cancel()
		output := ""
		argv, err := a.fillHook(entry, command, release)
		var env []string
		if err == nil {
			env, err = a.Ports.Host.Environ(entry)
		}
		if err == nil {
			output, err = a.Ports.Trees.Run(ctx, Hook{Argv: argv, Env: append(env, about...), Dir: a.paths.Dir(), Entry: entry})
		}
		if err != nil {
			a.log.Error("hook failed", "event", e.Event, "command", command[0], "error", err, "output", build.Conceal(output, env))
			return
		}
		a.log.Info("hook done", "event", e.Event, "command", command[0], "took", time.Since(begun).Round(time.Millisecond))
	})
}

// fillHook fills in the braces of a hook's command, of a release; "": there is none. A hook without braces
// needs none.
func (a *Actor) fillHook(entry *config.Build, command []string, release string) ([]string, error) {
	b := config.Braces{Data: a.paths.Data()}
	name := b.Missing(command...)
	switch {
	case name == "":
		return b.Fill(command...), nil
	case release == "":
		return nil, fmt.Errorf("fill in %s of the hook: there is no release yet; name a program that needs none, such as /usr/bin/python3", name)
	}
	rel, err := a.Ports.Releases.Get(a.name, release)
	if err != nil {
		return nil, fmt.Errorf("fill in %s of the hook: %w", name, err)
	}
	b.Python, b.Venv, b.Release, b.App = rel.Python(), rel.Venv, rel.Dir, rel.App(*entry)
	return b.Fill(command...), nil
}

// mostReason is how much of a reason a hook is told: execve(2) takes at most 128 KiB for a variable.
const mostReason = 16 << 10

// inVariable is a reason as a variable can hold it. What a server printed last is in it, and may be
// anything: no server keeps its hook from being called.
func inVariable(reason string) string {
	reason = strings.ReplaceAll(reason, "\x00", "\ufffd")
	if len(reason) > mostReason {
		reason = strings.ToValidUTF8(reason[:mostReason], "") + "…"
	}
	return reason
}
