// Command medctrl-supervisor builds and serves the Django backends listed in a builds.toml, and
// shows and changes what a running one does.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/medctrl/medctrl-supervisor/cmd/cli"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// version is set by the linker (see the Makefile); else it is the module's, as `go install` has it.
var version string

// programVersion returns the version, "dev" where the program was built without one.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func main() {
	// Every child is started through its exec step, so that comes before anything else.
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(process.ExecStep(os.Args[2:]))
	}
	if len(os.Args) == 2 && os.Args[1] == "cgroup-step" {
		os.Exit(process.CgroupStep())
	}
	os.Exit(cli.Run(context.Background(), programVersion(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
