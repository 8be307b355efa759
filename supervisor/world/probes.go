package world

import (
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// Probes start processes for who only tries something: without a root, a lock or a cgroup, next to a
// supervisor that may be running.
type Probes struct {
	build.Runner
	table *process.Table
}

// NewProbes returns Probes. The caller closes them.
func NewProbes() (*Probes, error) {
	table, err := process.NewTable("", hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	return &Probes{newRunner(table), table}, nil
}

// Close forgets what was started.
func (p *Probes) Close() error { return p.table.Close() }

// Cgroups says why children cannot have cgroups of their own. It makes one for the time being.
func (p *Probes) Cgroups() error {
	table, err := process.NewTable("", hclog.NewNullLogger())
	if err != nil {
		return err
	}
	defer table.Close() // removes it
	return table.UseCgroups("medctrl-doctor-" + strconv.Itoa(os.Getpid()))
}
