package inputs

import (
	"slices"
	"testing"
)

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
