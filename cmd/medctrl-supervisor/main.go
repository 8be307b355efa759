// Command medctrl-supervisor builds and serves the Django backends listed in a
// builds.toml, and asks and tells a running one.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() {
	// The exec step of every child comes through here: before anything else.
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(process.ExecStep(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitDone
	}
	code := exitFailed
	if e, ok := err.(exitError); ok {
		code = e.code
		err = e.err
	}
	if err == nil {
		return code
	}
	what := ""
	switch {
	case code == exitUsage && cmd.HasParent():
		what = fmt.Sprintf(" (see: medctrl-supervisor help %s)", cmd.Name())
	case code == exitUsage:
		what = " (see: medctrl-supervisor help)"
	default:
		what = advice(err, root.Flag("config").Value.String())
	}
	fmt.Fprintf(os.Stderr, "medctrl-supervisor: %v%s\n", err, what)
	return code
}
