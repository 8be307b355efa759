package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// included has the build development in a file of its own.
func included(t *testing.T) *desk {
	t.Helper()
	d := newSite(t)
	head, build, _ := strings.Cut(d.read("builds.toml"), "[[build]]\n")
	d.write("builds.toml", head+"[supervisor]\ninclude = [\"builds.d/*.toml\"]\n")
	d.write("builds.d/development.toml", "[[build]]\n"+build+"autostart = false\n")
	return d
}

func TestCommandsKnowWhatIsIncluded(t *testing.T) {
	t.Parallel()
	d := included(t)
	if out, errOut, code := d.run("check"); code != 0 || !strings.HasSuffix(out, "builds.toml: 1 build, no errors\n") {
		t.Errorf("check: exit %d, %q %q", code, out, errOut)
	}
	if out, _, code := d.run("nginx"); code != 0 || !strings.Contains(out, "location /api {") {
		t.Errorf("nginx: exit %d, %q", code, out)
	}
	if _, errOut, code := d.run("new", "development", "--add"); code != exitFailed || !strings.Contains(errOut, `already has a build "development"`) {
		t.Errorf("new: exit %d, %q", code, errOut)
	}
	before := d.read("builds.toml")
	if _, errOut, code := d.run("new", "fresh", "--add", "--location", "/api"); code != exitFailed || d.read("builds.toml") != before ||
		!strings.Contains(errOut, filepath.Join(d.dir, "builds.d/development.toml")+":3:12: location = \"/api\"") {
		t.Errorf("new with a taken location: exit %d, %q", code, errOut)
	}
	if err := os.Remove(filepath.Join(d.dir, "src/API/api_settings/settings/deploy_fresh.py")); err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := d.run("new", "fresh", "--add"); code != 0 {
		t.Errorf("new: exit %d, %q", code, errOut)
	}
	d.write("builds.d/development.toml", "[[build]]\nname = \"development\"\nworker = 2\n")
	if out, _, code := d.run("check"); code != exitFailed || out != filepath.Join(d.dir, "builds.d/development.toml")+":3:1: unknown key worker; did you mean \"workers\"?\n" {
		t.Errorf("check: exit %d, %q", code, out)
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "builds.d")); err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := d.run("check"); code != 0 || !strings.Contains(errOut, "warning: "+d.file+":8:11: include: no file matches "+d.dir+"/builds.d/*.toml") {
		t.Errorf("check: exit %d, %q", code, errOut)
	}
}

// The copy of what was applied last holds the included files too.
func TestBadIncludedFileAtAStartIsReplacedByTheLastGoodCopy(t *testing.T) {
	t.Parallel()
	d := included(t)
	d.supervise().stop()
	for what, spoil := range map[string]func() error{
		"a mistake":   func() error { d.write("builds.d/development.toml", "[[build]]\nname = 1\n"); return nil },
		"no TOML":     func() error { d.write("builds.d/development.toml", "[[build\n"); return nil },
		"no readable": func() error { d.write("builds.d/more.toml", "\xff\n"); return nil },
		"the file that includes it": func() error {
			d.write("builds.toml", "root = [")
			return os.RemoveAll(filepath.Join(d.dir, "builds.d"))
		},
	} {
		before := d.read("builds.toml")
		good := d.read("builds.d/development.toml")
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s := d.supervise()
		s.until(what+": status says so", func(out string, code int) bool {
			return code == 0 && strings.Contains(out, "has mistakes") && strings.Contains(out, "development")
		})
		if err := os.RemoveAll(filepath.Join(d.dir, "builds.d")); err != nil {
			t.Fatal(err)
		}
		d.write("builds.d/development.toml", good)
		d.write("builds.toml", before)
		s.until(what+": the fixed file is applied", func(out string, code int) bool {
			return code == 0 && !strings.Contains(out, "has mistakes") && strings.Contains(out, "development")
		})
		s.stop()
	}
}
