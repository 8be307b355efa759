package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/prebuild"
)

// aloneOptions are those of run without a supervisor.
type aloneOptions struct{ dir, stop string }

// run runs a command in a release that was made beforehand. It returns only where it cannot, or where
// this is the first process of a container.
func (o aloneOptions) run(file, name string, argv []string, release string) error {
	stop := unix.SignalNum("SIG" + strings.TrimPrefix(o.stop, "SIG"))
	switch {
	case o.dir == "":
		return usage(errors.New("--stop-signal goes with --prebuilt"))
	case release != "":
		return usage(errors.New("--prebuilt has one release: leave out --release"))
	case o.stop == "":
		stop = syscall.SIGTERM
	case stop == 0:
		return usage(fmt.Errorf("--stop-signal=%s: want a signal such as QUIT", o.stop))
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return fmt.Errorf("find --prebuilt: %w", err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	entry, err := entryOf(cfg, file, name)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	first := os.Getpid() == 1 || o.stop != ""
	if first { // caught before anything that takes time: as the first process we would not get them
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	}
	c, err := prebuild.NewCommand(dir, entry, argv, os.Environ())
	if err != nil {
		return err
	}
	if !first {
		return c.Exec()
	}
	code, err := c.Attend(signals, stop)
	if err == nil && code != 0 {
		err = exitError{code: code}
	}
	return err
}

// entryOf returns the entry of a build, or says which is near.
func entryOf(cfg *config.Config, file, name string) (config.Build, error) {
	entry, ok := cfg.Build(name)
	if ok {
		return entry, nil
	}
	var all []string
	for _, b := range cfg.Builds {
		all = append(all, b.Name)
	}
	return entry, fmt.Errorf("no build %q in %s%s", name, file, config.Near(name, all))
}
