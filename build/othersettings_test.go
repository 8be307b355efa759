package build

import (
	"os"
	"path/filepath"
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

// Settings that are the same as another build's, and a folder of settings that is kept elsewhere in the
// application.
func TestSettingsMayBeLinksWithinTheApplication(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]func(t *testing.T, p *project, folder string){
		"a file": func(t *testing.T, p *project, folder string) {
			must(t, os.Remove(filepath.Join(folder, "deploy_one.py")))
			must(t, os.Symlink("deploy_two.py", filepath.Join(folder, "deploy_one.py")))
		},
		"a file that leads to a link": func(t *testing.T, p *project, folder string) {
			must(t, os.Remove(filepath.Join(folder, "deploy_one.py")))
			must(t, os.Symlink("deploy_base.py", filepath.Join(folder, "deploy_one.py")))
			must(t, os.Symlink("../settings/deploy_two.py", filepath.Join(folder, "deploy_base.py")))
		},
		"the folder": func(t *testing.T, p *project, folder string) {
			p.write(t, "API/api_settings/settings/deploy_one.py", "from .deploy_two import *\n")
			must(t, os.Rename(folder, filepath.Join(p.AppPath(), "conf")))
			must(t, os.Symlink("../conf", folder))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.environment(t)
			p.write(t, "API/api_settings/settings/deploy_two.py", "SECRET_KEY = 'x'\n")
			p.write(t, "API/api_settings/settings/deploy_three.py", "PASSWORD = 'three'\n")
			folder := filepath.Join(p.AppPath(), "api_settings/settings")
			link(t, p, folder)
			rel := p.made(t)
			in := filepath.Join(rel.App(p.Build), "api_settings/settings")
			if text := read(t, filepath.Join(in, "deploy_two.py")); text != "SECRET_KEY = 'x'\n" {
				t.Errorf("the settings are %q", text)
			}
			if exists(filepath.Join(in, "deploy_three.py")) {
				t.Error("the settings of another build are in the release")
			}
			before := Watch(p.root, p.Build, os.Environ()).Hash
			p.write(t, "API/api_settings/settings/deploy_two.py", "SECRET_KEY = 'y'\n")
			if Watch(p.root, p.Build, os.Environ()).Hash == before {
				t.Error("what the settings lead to is not watched")
			}
			if again := p.made(t); again.ID == rel.ID {
				t.Error("an edit of what the settings lead to makes no release")
			}
		})
	}
}
