package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// tomlBlock is a builds.toml in a guide.
var tomlBlock = regexp.MustCompile("(?s)```toml\n(root = .*?)```")

func TestBuildsOfTheMigrationGuideAreValid(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	found := tomlBlock.FindSubmatch(guide)
	if found == nil {
		t.Fatal("the guide has no builds.toml")
	}
	s := newSite(t)
	for _, name := range []string{"development", "testing"} {
		s.write("src/API/api_settings/settings/deploy_"+name+".py", "")
	}
	c := s.good(strings.NewReplacer(`"/opt/medctrl/builds"`, `"run"`, `"/srv/medctrl/backend"`, `"src"`, `"python3.10"`, `"bin/python3"`,
		`"medctrl"`, `"root"`, `"www-data"`, `"root"`).Replace(string(found[1])))
	for i, location := range []string{"/api", "/testapi"} {
		b := c.Builds[i]
		if b.Location != location || b.StripPrefix || b.WorkingDir != "{data}" || len(b.Steps.AfterMigrate) != 1 || b.Health.Path != location+"/" {
			t.Errorf("the build is %+v", b)
		}
	}
}
