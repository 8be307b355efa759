package build

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestSettingsOfOtherBuildsAreNotInARelease(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.environment(t)
	const settings = "API/api_settings/settings/"
	for file, text := range map[string]string{
		"deploy_one.py":             "SECRET_KEY = 'x'\nfrom .deploy_testing import *\n",
		"deploy_testing.py":         "from .deploy_development import *\n",
		"deploy_development.py":     "A = 1\n",
		"common.py":                 "# As deploy_two.py has it.\nBASE = 'deploy_base'\n",
		"deploy_base.py":            "\"\"\"What deploy_three.py has too.\"\"\"\n",
		"deploy_two.py":             "PASSWORD = 'two'\n",
		"deploy_two.py.orig":        "PASSWORD = 'two'\n",
		"deploy_three.py":           "PASSWORD = 'three'\n",
		"deployment.py":             "B = 1\n",
		"deploy_template/readme.md": "no settings\n",
	} {
		p.write(t, settings+file, text)
	}
	rel := p.made(t)
	folder := filepath.Join(rel.App(p.Build), "api_settings/settings")
	for file, want := range map[string]bool{
		"deploy_one.py": true, "deploy_testing.py": true, "deploy_development.py": true, "common.py": true, "deploy_base.py": true, "deployment.py": true,
		"deploy_template/readme.md": true, "deploy_two.py": false, "deploy_two.py.orig": false, "deploy_three.py": false,
	} {
		if got := exists(filepath.Join(folder, file)); got != want {
			t.Errorf("%s is in the release: %v", file, got)
		}
	}
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "deploy_three.py, api_settings/settings/deploy_two.py")
	if same, fresh, err := p.m.Make(t.Context(), p.request()); err != nil || fresh || same.ID != rel.ID {
		t.Errorf("made %s again, fresh %v, error %v", same.ID, fresh, err)
	}
}

func TestNamesOfSettingsAreFoundInAProgram(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"from . import deploy_a, deploy_b": {"deploy_a", "deploy_b"},
		"load('x.deploy_a', 'y deploy_b')": {"deploy_a"},
		"'deploy_a/deploy_b.py'":           {"deploy_a", "deploy_b"},
		"# deploy_a":                       nil,
		"deploy_":                          {"deploy_"},
	} {
		if got := deployNames(text); !slices.Equal(got, want) {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}
