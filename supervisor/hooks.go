package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// hookLimit is how long a hook may take before its processes are killed.
const hookLimit = 30 * time.Second

// hookFor answers the hook that an event of a build calls.
func hookFor(h config.Hooks, event string) []string {
	switch event {
	case "took_over":
		return h.AfterSwap
	case "build_failed", "candidate_failed", "gave_way", "exited", "unhealthy":
		return h.OnFailure
	}
	return nil
}

// hookDue is the message that something happened beside the actor for which
// there may be a hook.
type hookDue struct{ event, reason string }

// callHook runs the hook of an event, if the build has one, beside everything
// else: what becomes of it is said in the log and changes nothing.
func (a *actor) callHook(event, release, reason string) {
	argv := hookFor(a.entry.Hooks, event)
	if len(argv) == 0 || a.state.Want != machine.WantServe {
		return
	}
	entry := a.entry
	a.spawnTask(func(context.Context) {
		begun := time.Now()
		said, err := a.runHook(a.hooks, entry, argv, "MEDCTRL_BUILD="+a.name, "MEDCTRL_RELEASE="+release, "MEDCTRL_EVENT="+event, "MEDCTRL_REASON="+reason)
		if err != nil {
			a.log.Error("hook failed", "event", event, "command", argv[0], "error", err, "output", said)
			return
		}
		a.log.Info("hook done", "event", event, "command", argv[0], "took", time.Since(begun).Round(time.Millisecond))
	})
}

// runHook runs a hook as the build's user, with the build's environment, and
// answers the end of what it printed.
func (a *actor) runHook(ctx context.Context, entry *config.Build, argv []string, about ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, hookLimit)
	defer cancel()
	env, err := config.Environ(*entry, a.sup.environ)
	if err != nil {
		return "", err
	}
	as, err := config.IdentityOf(*entry)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = a.dir
	cmd.Env = append(env, append(about, "MEDCTRL_DATA="+a.dataDir())...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if c := credential(as); c != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID), Groups: c.Groups}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // one that left the group may hold the pipe
	out := &lastBytes{}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("ended because it took longer than %v", hookLimit)
	}
	return strings.TrimSpace(string(out.text)), err
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ text []byte }

const lastBytesKept = 1 << 10

func (l *lastBytes) Write(b []byte) (int, error) {
	l.text = append(l.text, b...)
	l.text = bytes.Clone(l.text[max(0, len(l.text)-lastBytesKept):])
	return len(b), nil
}
