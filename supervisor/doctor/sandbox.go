package doctor

import (
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// sandboxFindings say what the kernel offers for sandboxes. That it offers none matters where a build
// asks for one.
func sandboxFindings(here func() (sandbox.Kernel, error), builds []config.Build) []Finding {
	const check = "sandbox"
	if here == nil {
		return nil
	}
	wanted := slices.ContainsFunc(builds, func(b config.Build) bool { return b.Sandbox.Enabled })
	kernel, err := here()
	switch {
	case err != nil && wanted:
		return []Finding{fail(check, "", "%v; builds with sandbox.enabled = true are not started", err)}
	case err != nil:
		return []Finding{warn(check, "", "%v; sandbox.enabled = true would be refused", err)}
	}
	confined := strings.Join(kernel.Confines(), ", ")
	if lacks := kernel.Lacks(); len(lacks) > 0 {
		return []Finding{warn(check, "use a later kernel", "Landlock ABI %d confines %s, but not %s", kernel.ABI, confined, strings.Join(lacks, ", "))}
	}
	return []Finding{ok(check, "Landlock ABI %d confines %s", kernel.ABI, confined)}
}

// lookSandbox refuses a sandbox that there cannot be here, and warns of ports that cannot be confined.
func lookSandbox(c *config.Config, here func() (sandbox.Kernel, error)) (wrong, warnings config.Errors) {
	kernel, err := here()
	for _, b := range c.Builds {
		switch {
		case !b.Sandbox.Enabled:
		case err != nil:
			wrong = append(wrong, c.Wrong(b.Name, "sandbox.enabled", "sandbox.enabled = true: %v", err))
		case (b.Sandbox.Connect.Limited || b.Sandbox.Bind.Limited) && !kernel.TCP():
			warnings = append(warnings, c.Wrong(b.Name, "sandbox.enabled", "sandbox.connect and sandbox.bind have no effect: this kernel cannot confine TCP ports, Linux 6.7 can"))
		}
	}
	return wrong, warnings
}
