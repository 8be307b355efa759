// Command medctrl-supervisor builds and serves the Django backends listed in a builds.toml, and
// shows and changes what a running one does.
package main

import (
	"context"
	"os"

	"github.com/medctrl/medctrl-supervisor/cmd/cli"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() {
	// Every child is started through its exec step, so that comes before anything else.
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(process.ExecStep(os.Args[2:]))
	}
	if len(os.Args) == 2 && os.Args[1] == "cgroup-step" {
		os.Exit(process.CgroupStep())
	}
	os.Exit(cli.Run(context.Background(), version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
