package inputs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

const distribution = "/usr/bin/python3" // the one that sees the distribution's packages

// settings is the folder of the settings files in a project.
const settings = "API/api_settings/settings/"

// project is a build whose source is a folder of the test's.
type project struct{ config.Build }

func newProject(t testing.TB) *project {
	t.Helper()
	p := &project{config.Build{
		Name: "one", Source: filepath.Join(t.TempDir(), "source"), AppDir: "API", Requirements: "requirements.txt",
		SettingsDir: "api_settings/settings",
	}}
	p.write(t, "requirements.txt", "")
	p.write(t, "API/manage.py", "")
	p.write(t, settings+"deploy_one.py", "SECRET_KEY = 'x'\n")
	return p
}

func (p *project) data() string { return filepath.Join(filepath.Dir(p.Source), "data") }

func (p *project) write(t testing.TB, rel, text string) {
	t.Helper()
	path := filepath.Join(p.Source, rel)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// must is for what a test needs and does not try.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contains asserts that a text holds all of these.
func contains(t testing.TB, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("%q\nis missing in\n%s", want, text)
		}
	}
}

// needReal is for a test that needs the real pip. `make unit` leaves it out, with -short, and `make e2e`
// runs all tests whose name begins with TestReal.
func needReal(t *testing.T) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestReal") {
		t.Fatal("neither `make unit` nor `make e2e` runs it: its name has to begin with TestReal")
	}
	if testing.Short() {
		t.Skip("is run by make e2e")
	}
}
