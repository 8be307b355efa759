package world

import (
	"os"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// TestMain lets the test binary act as the exec step between us and a child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(process.ExecStep(os.Args[2:]))
	}
	os.Exit(m.Run())
}
