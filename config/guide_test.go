package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// tomlBlock is a builds.toml in a guide.
var tomlBlock = regexp.MustCompile("(?s)```toml\n(root = .*?)```")

// guideBlock returns the first builds.toml of a guide.
func guideBlock(t *testing.T, path string) string {
	t.Helper()
	guide, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := tomlBlock.FindSubmatch(guide)
	if found == nil {
		t.Fatalf("%s has no builds.toml", path)
	}
	return string(found[1])
}

func TestBuildsOfTheMigrationGuideAreValid(t *testing.T) {
	t.Parallel()
	found := guideBlock(t, "../docs/migration.md")
	s := newSite(t)
	for _, name := range []string{"development", "testing"} {
		s.write("src/API/api_settings/settings/deploy_"+name+".py", "")
	}
	c := s.good(strings.NewReplacer(`"/opt/medctrl/builds"`, `"run"`, `"/srv/medctrl/backend"`, `"src"`, `"python3.10"`, `"bin/python3"`,
		`"medctrl"`, `"root"`, `"www-data"`, `"root"`).Replace(found))
	for i, location := range []string{"/api", "/testapi"} {
		b := c.Builds[i]
		if b.Location != location || b.StripPrefix || b.WorkingDir != "{data}" || len(b.Steps.AfterMigrate) != 1 || b.Health.Path != location+"/" {
			t.Errorf("the build is %+v", b)
		}
	}
}

// The files that users begin with: the README's, and the one that the packages bring.
func TestFirstBuildsAreValid(t *testing.T) {
	t.Parallel()
	found := guideBlock(t, "../README.md")
	packaged, err := os.ReadFile("../examples/packaging/builds.toml")
	if err != nil {
		t.Fatal(err)
	}
	asIf := strings.NewReplacer(`"/var/lib/medctrl"`, `"run"`, `"/srv/medctrl"`, `"src"`, `"python3"`, `"bin/python3"`, `"medctrl"`, `"root"`,
		`"medctrl_dev"`, `"root"`, `"medctrl_test"`, `"root"`, `"www-data"`, `"root"`)
	for text, builds := range map[string]int{found: 2, string(packaged): 1} {
		s := newSite(t)
		for _, name := range []string{"development", "testing"} {
			s.write("src/API/api_settings/settings/deploy_"+name+".py", "")
		}
		if c := s.good(asIf.Replace(text)); len(c.Builds) != builds {
			t.Errorf("it has %d builds, want %d:\n%s", len(c.Builds), builds, text)
		}
	}
	// What is commented out in the packages' file is right as well.
	s := newSite(t)
	for _, name := range []string{"development", "testing"} {
		s.write("src/API/api_settings/settings/deploy_"+name+".py", "")
	}
	if c := s.good(asIf.Replace(strings.ReplaceAll(string(packaged), "\n# ", "\n"))); len(c.Builds) != 2 {
		t.Errorf("with its comments it has %d builds", len(c.Builds))
	}
}

func TestBuildsOfTheGuideToTwoHostsAreValid(t *testing.T) {
	t.Parallel()
	found := guideBlock(t, "../docs/many-hosts.md")
	s := newSite(t)
	s.write("src/API/api_settings/settings/deploy_development.py", "")
	c := s.good(strings.NewReplacer(`"/var/lib/medctrl"`, `"run"`, "source  = \"/srv/medctrl\"", "source = \"src\"\npython = \"bin/python3\"").Replace(found))
	first, second := c.On("web-1").Builds[0], c.On("web-2").Builds[0]
	if len(first.Processes) != 2 || len(first.Schedules) != 1 || len(second.Processes) != 1 || len(second.Schedules) != 0 {
		t.Errorf("the first host runs %+v %+v, the second %+v %+v", first.Processes, first.Schedules, second.Processes, second.Schedules)
	}
	if len(c.FrontProxies) != 1 {
		t.Errorf("the proxies are %v", c.FrontProxies)
	}
}
