package build

import "testing"

func TestBuildWhoseSettingsImportAPlaceholderFailsAtItsSettings(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "")
	p.write(t, settings+"deploy_one.py", "from .base import *\n")
	p.write(t, settings+"base.py", "SECRET_KEY = 'random secret key'\n")
	step := p.failed(t)
	if step.Step != "settings" || !step.Final {
		t.Errorf("failed at %s, final: %v", step.Step, step.Final)
	}
	contains(t, step.Error(), p.Source+"/"+settings+"base.py:1:15: the template's placeholder", "random secret key")
	p.write(t, settings+"base.py", "SECRET_KEY = 'x'\n")
	p.environment(t)
	p.made(t)
}
