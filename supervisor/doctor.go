package supervisor

import (
	"context"
	"errors"
	"os"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/doctor"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// Doctor tries on this machine what builds of cfg need, nil for all.
func Doctor(ctx context.Context, cfg *config.Config, builds []string) (found []doctor.Finding, err error) {
	probes, err := world.NewProbes()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, probes.Close()) }()
	return doctor.Run(ctx, doctor.Options{
		Config: cfg, Builds: builds, Runner: probes, Environ: os.Environ(),
		Kernel: doctor.Here(probes.Cgroups), Running: doctor.WhoRuns(ctx, cfg.Root), Nginx: doctor.NginxFiles(),
	})
}
