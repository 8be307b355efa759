package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
)

// supervise is the program without a command: it runs the supervisor until it is told to stop.
func supervise(ctx context.Context, file, version string) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	// Not os.Executable: that resolves links, which an upgrade may move.
	self, err := exec.LookPath(os.Args[0])
	if err == nil {
		self, err = filepath.Abs(self)
	}
	if err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	log := hclog.New(&hclog.LoggerOptions{
		Name:       "medctrl-supervisor",
		Level:      hclog.LevelFromString(cfg.Supervisor.LogLevel),
		JSONFormat: cfg.Supervisor.LogFormat == "json",
		Output:     os.Stderr,
		TimeFormat: "2006-01-02T15:04:05.000Z0700",
	})
	return supervisor.Run(ctx, supervisor.Options{
		Config: cfg, Log: log, Version: version, Args: append([]string{self}, os.Args[1:]...), Environ: os.Environ(),
	})
}
