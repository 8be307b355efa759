package doctor

import (
	"context"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
)

// interpreter tries the build's interpreter: that its user may run it, and what an environment is made
// with. It returns nil where there is nothing to go on with.
func (p *patient) interpreter(ctx context.Context) *build.Interpreter {
	const check = "interpreter"
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	python, err := p.maker.Interpreter(limited, p.seen)
	if err != nil {
		p.add(fail(check, "set python to one that runs", "%v", err))
		return nil
	}
	version, _, _ := strings.Cut(python.Version, " ")
	if _, err := p.run(ctx, p.seen.Command(python.Path, "-I", "-c", "import venv"), nil); err != nil {
		p.add(fail(check, "apt install python3-venv, or set python to another", "%s cannot make a virtual environment: %v", python.Path, err))
		return &python
	}
	if _, uv := build.Program("uv", p.seen.Env); python.Pip == nil && uv != nil {
		p.add(fail(check, "apt install python3-pip or python3-venv, or set python to another", "there is no pip for %s", python.Path))
		return &python
	}
	p.add(ok(check, "Python %s, %s", version, python.Path))
	return &python
}
