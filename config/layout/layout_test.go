package layout_test

import (
	"path/filepath"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Folders of the versions before hold these very names, and so do the files of Nginx and of
// backups.
func TestPathsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	root := layout.Root("/opt/medctrl/backend")
	build := root.Build("one")
	release := build.Release("20261123T090001-1a2b3c")
	for want, got := range map[string]string{
		"/.supervisor":                         root.Own(),
		"/.supervisor/control.sock":            root.Control(),
		"/.supervisor/state":                   root.State(),
		"/.supervisor/events":                  root.Events(),
		"/.supervisor/logs":                    root.Logs(),
		"/.supervisor/logs/one.log":            layout.Log(root.Logs(), "one"),
		"/.supervisor/migrate":                 root.MigrationLocks(),
		"/one":                                 build.Dir(),
		"/one/gunicorn.sock":                   build.Socket(),
		"/one/gunicorn.sock.next":              build.Staging(),
		"/one/current":                         build.Current(),
		"/one/releases":                        build.Releases(),
		"/one/releases/20261123T090001-1a2b3c": release.Dir(),
		"/one/releases/20261123T090001-1a2b3c/build.log":    release.Log(),
		"/one/releases/20261123T090001-1a2b3c/release.json": release.Record(),
		"/one/build-failed.log":                             build.FailedLog(),
		"/one/build-failed.json":                            build.FailedRecord(),
		"/one/venvs":                                        build.Venvs(),
		"/one/venvs/0123456789abcdef":                       build.Venv("0123456789abcdef"),
		"/one/data":                                         build.Data(),
		"/one/run":                                          build.Run(),
		"/one/run/gunicorn-0123456789abcdef.conf.py":        build.Conf("0123456789abcdef"),
		"/one/run/tmp-12":                                   build.Temp(12),
		"/one/run/tmp-of-id":                                build.TempOf("id"),
	} {
		if want = string(root) + want; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestLinkToTheCurrentReleaseIsRelative(t *testing.T) {
	t.Parallel()
	build := layout.Root("/root").Build("one")
	to := build.CurrentTo("id")
	if to != "releases/id" {
		t.Errorf("the link holds %s", to)
	}
	if got := filepath.Join(filepath.Dir(build.Current()), to); got != build.Release("id").Dir() {
		t.Errorf("the link leads to %s", got)
	}
}

func TestConfKeyIsReadBackFromItsPath(t *testing.T) {
	t.Parallel()
	build := layout.Root("/a[b").Build("one")
	for path, want := range map[string]string{
		build.Conf("0123456789abcdef"):                  "0123456789abcdef",
		filepath.Base(build.Conf("k")):                  "k",
		filepath.Join(build.Run(), "gunicorn-k.py"):     "",
		filepath.Join(build.Run(), "k.conf.py"):         "",
		filepath.Join(build.Run(), ".gunicorn-123.tmp"): "",
	} {
		if key, ok := layout.ConfKey(path); ok != (want != "") || ok && key != want {
			t.Errorf("%s: key %q, %v, want %q", path, key, ok, want)
		}
	}
}

func TestTemporaryFoldersAreToldApart(t *testing.T) {
	t.Parallel()
	build := layout.Root("/a").Build("one")
	if n, ok := layout.TempGeneration(build.Temp(12)); n != 12 || !ok {
		t.Errorf("generation %d, %v", n, ok)
	}
	if id, ok := layout.TempCommand(build.TempOf("1")); id != "1" || !ok {
		t.Errorf("command %q, %v", id, ok)
	}
	for _, path := range []string{build.TempOf("1"), build.Conf("1"), build.Temp(0), build.Run()} {
		if n, ok := layout.TempGeneration(path); ok {
			t.Errorf("%s is of generation %d", path, n)
		}
	}
	if id, ok := layout.TempCommand(build.Temp(1)); ok {
		t.Errorf("%s is of command %s", build.Temp(1), id)
	}
}

func TestPathsAreClean(t *testing.T) {
	t.Parallel()
	if got := layout.Root("/opt/x/../medctrl/").Build("one").Socket(); got != "/opt/medctrl/one/gunicorn.sock" {
		t.Errorf("a root that is not clean makes %s", got)
	}
}
