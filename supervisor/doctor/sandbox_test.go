package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

func TestWhatTheKernelConfinesIsSaid(t *testing.T) {
	t.Parallel()
	none, confined := []config.Build{{Name: "one"}}, []config.Build{{Name: "one", Sandbox: config.Sandbox{Enabled: true}}}
	refused := func() (sandbox.Kernel, error) { return sandbox.Kernel{}, errors.New("the kernel has no Landlock") }
	at := func(abi int) func() (sandbox.Kernel, error) {
		return func() (sandbox.Kernel, error) { return sandbox.Kernel{ABI: abi}, nil }
	}
	for name, c := range map[string]struct {
		here   func() (sandbox.Kernel, error)
		builds []config.Build
		level  Level
		words  string
	}{
		"all":                  {at(7), confined, OK, "Landlock ABI 7 confines files and folders, shortening of files, TCP ports"},
		"not signals":          {at(4), confined, Warn, "but not ioctl of devices (Linux 6.10), signals and abstract sockets (Linux 6.12)"},
		"none, and not needed": {refused, none, Warn, "would be refused"},
		"none":                 {refused, confined, Fail, "are not started"},
	} {
		found := sandboxFindings(c.here, c.builds)
		if len(found) != 1 || found[0].Level != c.level || !strings.Contains(found[0].Message, c.words) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestCheckRefusesASandboxThatCannotBe(t *testing.T) {
	t.Parallel()
	b := config.Build{Name: "one", Sandbox: config.Sandbox{Enabled: true, Connect: config.Ports{Limited: true}}}
	c := &config.Config{Builds: []config.Build{b, {Name: "two"}}}
	wrong, _ := lookSandbox(c, func() (sandbox.Kernel, error) { return sandbox.Kernel{}, errors.New("the kernel has no Landlock") })
	if len(wrong) != 1 || wrong[0].Msg != "sandbox.enabled = true: the kernel has no Landlock" {
		t.Errorf("without Landlock: %v", wrong)
	}
	wrong, warnings := lookSandbox(c, func() (sandbox.Kernel, error) { return sandbox.Kernel{ABI: 3}, nil })
	if len(wrong) != 0 || len(warnings) != 1 || !strings.Contains(warnings[0].Msg, "Linux 6.7") {
		t.Errorf("with a Landlock without ports: %v, %v", wrong, warnings)
	}
}
