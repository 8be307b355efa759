package supervisor

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// tell tells the service manager that started us (sd_notify(3)), where there is
// one that listens.
func (s *Supervisor) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("service manager cannot be told", "error", err)
	}
}

// ready says that every build was taken up: it serves, or is built. That may
// take minutes, and a start that waited for it would be taken for one that hangs.
func (s *Supervisor) ready() {
	s.tell(fmt.Sprintf("%s\nSTATUS=%d builds", daemon.SdNotifyReady, len(s.all())))
}

// reloading says that the file is being read; ready ends it.
func (s *Supervisor) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return // there always is that clock
	}
	s.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// watchdog answers a channel that ticks as often as the service manager wants to
// hear from us (WatchdogSec=), twice that often to be sure; nil where it does not.
func (s *Supervisor) watchdog(ctx context.Context) <-chan time.Time {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("watchdog of the service manager is not understood", "error", err)
	}
	if every <= 0 {
		return nil
	}
	tick := time.NewTicker(every / 2)
	context.AfterFunc(ctx, tick.Stop)
	return tick.C
}
