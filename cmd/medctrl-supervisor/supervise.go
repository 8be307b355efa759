package main

import (
	"context"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
)

// supervise is the program without a command: it runs until it is told to stop.
func supervise(ctx context.Context, file string) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := hclog.New(&hclog.LoggerOptions{
		Name:       "medctrl-supervisor",
		Level:      hclog.LevelFromString(cfg.Supervisor.LogLevel),
		JSONFormat: cfg.Supervisor.LogFormat == "json",
		Output:     os.Stderr,
		TimeFormat: "2006-01-02T15:04:05.000Z0700",
	})
	return supervisor.Run(ctx, supervisor.Options{
		Config: cfg, Log: log, Version: version, Self: self, Environ: os.Environ(),
	})
}
