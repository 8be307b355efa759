package server

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with testdata/name.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("not as in %s (-update rewrites it):\n%s", path, text)
	}
}

// entry is a build as a file may have it.
func entry() *config.Build {
	return &config.Build{
		Name: "one", AppDir: "API", SettingsDir: "api_settings/settings", WSGI: "api_settings.wsgi:application",
		Workers: 2, Threads: 1, WorkerClass: "sync", Timeout: 30 * time.Second, GracefulTimeout: 1500 * time.Millisecond,
		Umask: 0o027,
	}
}

// place is a release of it.
func place() Place {
	paths := layout.Root("/opt/medctrl").Build("one")
	return Place{
		Release: build.Release{ID: "20261123T090001-1a2b3c", Dir: "/opt/medctrl/one/releases/20261123T090001-1a2b3c", Venv: "/opt/medctrl/one/venvs/abc"},
		App:     "/opt/medctrl/one/releases/20261123T090001-1a2b3c/API",
		Paths:   paths, RunKey: "0123456789abcdef", GID: 33,
	}
}

func TestGunicornsConfigurationIsAsReviewed(t *testing.T) {
	argv, files := Of(entry()).Argv(place())
	if want := []string{"/opt/medctrl/one/venvs/abc/bin/python", "-m", "gunicorn", "-c", files[0].Path, "api_settings.wsgi:application"}; !slices.Equal(argv, want) {
		t.Errorf("argv %q, want %q", argv, want)
	}
	if f := files[0]; len(files) != 1 || f.Path != place().Paths.Conf("0123456789abcdef") || f.Mode != 0o640 || f.GID != 33 {
		t.Errorf("files %+v", files)
	}
	golden(t, "conf.py.golden", files[0].Head+files[0].Text)
}

func TestArgumentsOfTheUserWinOverTheConfiguration(t *testing.T) {
	b := entry()
	b.GunicornArgs = []string{"--max-requests", "1000"}
	argv, _ := Of(b).Argv(place())
	conf, args := slices.Index(argv, "-c"), slices.Index(argv, "--max-requests")
	if args < conf+2 || argv[len(argv)-1] != b.WSGI {
		t.Errorf("argv %q", argv)
	}
	if argv, _ := Of(b).Argv(place()); !slices.Equal(b.GunicornArgs, []string{"--max-requests", "1000"}) || len(argv) != 8 {
		t.Errorf("argv %q of %q", argv, b.GunicornArgs)
	}
}

func TestTimeoutsAreRoundedUpToWholeSeconds(t *testing.T) {
	for seconds, want := range map[float64]string{0.2: "1", 1: "1", 1.5: "2", 30: "30"} {
		if got := wholeSeconds(seconds); got != want {
			t.Errorf("%v: %s, want %s", seconds, got, want)
		}
	}
}

func TestExitCodesOfGunicornAreExplained(t *testing.T) {
	command := Of(&config.Build{Command: []string{"serve"}})
	for code, want := range map[int]string{
		0:  "ended",
		3:  "ended (a gunicorn worker could not boot)",
		4:  "ended (gunicorn could not load the application)",
		-1: "ended",
	} {
		if got := Of(entry()).Exit("ended", code); got != want {
			t.Errorf("code %d: %q, want %q", code, got, want)
		}
		if got := command.Exit("ended", code); got != "ended" {
			t.Errorf("code %d of another server: %q", code, got)
		}
	}
}

// prepared is how the server of an entry is started from a release.
func prepared(b *config.Build, environ []string, p Place, owner config.Identity) *Launch {
	return NewRecipe(Recipe{Entry: b, Environ: environ, Release: &p.Release, Paths: p.Paths, RunKey: p.RunKey, Owner: owner}).Launch()
}
