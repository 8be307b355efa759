package actor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// hooks is the lifetime of the running hooks: it ends with the build.
type hooks struct {
	ctx context.Context
	end context.CancelFunc
}

// hookLimit is how long a hook may take before its processes are ended.
const hookLimit = 30 * time.Second

// hookFor returns the hook that an event of a build calls.
func hookFor(h config.Hooks, event machine.EventName) []string {
	switch event {
	case machine.EventTookOver:
		return h.AfterSwap
	case machine.EventBuildFailed, machine.EventCandidateFailed, machine.EventGaveWay, machine.EventExited, machine.EventUnhealthy, machine.EventScheduleFailed:
		return h.OnFailure
	}
	return nil
}

// callHook runs the hook of an event concurrently, if the build has one. Its result is logged and
// changes nothing.
func (a *Actor) callHook(event machine.EventName, release, reason string) {
	entry := a.entry
	argv := hookFor(entry.Hooks, event)
	if len(argv) == 0 || a.state.Want != machine.WantServe {
		return
	}
	about := []string{"MEDCTRL_BUILD=" + a.name, "MEDCTRL_RELEASE=" + release, "MEDCTRL_EVENT=" + string(event),
		"MEDCTRL_REASON=" + inVariable(reason), "MEDCTRL_DATA=" + a.paths.Data()}
	a.task(func(context.Context) {
		begun := time.Now()
		ctx, cancel := context.WithTimeoutCause(a.hooks.ctx, hookLimit, fmt.Errorf("ended because it took longer than %v", hookLimit))
		defer cancel()
		env, err := a.Ports.Host.Environ(entry)
		output := ""
		if err == nil {
			output, err = a.Ports.Trees.Run(ctx, Hook{Argv: argv, Env: append(env, about...), Dir: a.paths.Dir(), Entry: entry})
		}
		if err != nil {
			a.log.Error("hook failed", "event", event, "command", argv[0], "error", err, "output", output)
			return
		}
		a.log.Info("hook done", "event", event, "command", argv[0], "took", time.Since(begun).Round(time.Millisecond))
	})
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
