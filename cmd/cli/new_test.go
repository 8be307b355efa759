package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestANewBuildHasSettingsAndAnEntry(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	settings := filepath.Join(d.dir, "src/API/api_settings/settings/deploy_fresh.py")
	before := d.read("builds.toml")
	out, errOut, code := d.run("new", "fresh")
	const entry = "[[build]]\nname = \"fresh\"\nlocation = \"/fresh\"\n"
	if code != 0 || out != "wrote "+settings+"\nadd to "+d.file+":\n\n"+entry {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if d.read("builds.toml") != before {
		t.Error("the file was changed without --add")
	}
	text, err := os.ReadFile(settings)
	if err != nil || !regexp.MustCompile(`(?m)^SECRET_KEY = "[A-Z2-7]{52}"$`).Match(text) || !strings.Contains(string(text), `FORCE_SCRIPT_NAME = "/fresh"`) ||
		!strings.Contains(string(text), "from api_settings.settings.common import *") {
		t.Errorf("%v: %s", err, text)
	}
	if info, err := os.Stat(settings); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its key may be read by others: %v, %v", info, err)
	}
	if err := os.Remove(settings); err != nil {
		t.Fatal(err)
	}
	out, errOut, code = d.run("new", "fresh", "--add", "--location", "/a/b")
	if after := d.read("builds.toml"); code != 0 || after != before+"\n"+strings.ReplaceAll(entry, "/fresh", "/a/b") || !strings.Contains(out, "added build fresh to "+d.file) {
		t.Errorf("exit %d, %q %q, %s", code, out, errOut, after)
	}
	if out, _, code := d.run("check"); code != 0 || !strings.Contains(out, "2 builds") {
		t.Errorf("the file is not valid then: %s", out)
	}
}

func TestABuildOfAnotherSourceHasItInItsEntry(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write("other/API/api_settings/settings/common.py", "")
	source := filepath.Join(d.dir, "other")
	out, errOut, code := d.run("new", "fresh", "--source", source)
	if code != 0 || !strings.Contains(out, "source = \""+source+"\"\n") || !strings.Contains(d.read("other/API/api_settings/settings/deploy_fresh.py"), "SECRET_KEY") {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
}

func TestNothingIsWrittenOverOrHalfDone(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	before := d.read("builds.toml")
	d.write("src/API/api_settings/settings/deploy_there.py", "mine\n")
	d.fails(
		wrong{[]string{"new", "development"}, exitFailed, []string{`already has a build "development"`}},
		wrong{[]string{"new", "there"}, exitFailed, []string{"deploy_there.py exists and is left alone: `medctrl-supervisor new there --add` adds the entry"}},
		wrong{[]string{"new", "../x"}, exitUsage, []string{"want at most 32 lower-case letters"}},
		wrong{[]string{"new", "fresh", "--source", filepath.Join(d.dir, "nowhere")}, exitFailed, []string{"write settings: ", "no such file"}},
	)
	if d.read("src/API/api_settings/settings/deploy_there.py") != "mine\n" {
		t.Error("settings were written over")
	}
	// The location is taken: the file would not be valid.
	_, errOut, code := d.run("new", "fresh", "--add", "--location", "/api")
	if code != exitFailed || !strings.Contains(errOut, "was not changed: "+d.file+":") || d.read("builds.toml") != before {
		t.Errorf("exit %d, %q", code, errOut)
	}
	// A second command adds what the first one has only printed, once.
	out, _, code := d.run("new", "there", "--add")
	if code != 0 || !strings.Contains(out, "deploy_there.py is there and is kept\nadded build there to ") || !strings.HasPrefix(d.read("builds.toml"), before) ||
		strings.Count(d.read("builds.toml"), `name = "there"`) != 1 || d.read("src/API/api_settings/settings/deploy_there.py") != "mine\n" {
		t.Errorf("exit %d, %q, %s", code, out, d.read("builds.toml"))
	}
	d.fails(wrong{[]string{"new", "there", "--add"}, exitFailed, []string{`already has a build "there"`}})
	if left, err := filepath.Glob(filepath.Join(d.dir, ".builds-*")); err != nil || left != nil {
		t.Errorf("left behind: %v %v", left, err)
	}
	newDesk(t).fails(wrong{[]string{"new", "fresh"}, exitUsage, []string{"name a folder with --source"}})
}

// A link to the file stays one.
func TestAnEntryIsAddedThroughALink(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	link := filepath.Join(d.dir, "link.toml")
	if err := os.Symlink("builds.toml", link); err != nil {
		t.Fatal(err)
	}
	d.file = link
	if _, errOut, code := d.run("new", "fresh", "--add"); code != 0 {
		t.Fatal(errOut)
	}
	if to, err := os.Readlink(link); err != nil || to != "builds.toml" || !strings.Contains(d.read("builds.toml"), `name = "fresh"`) {
		t.Errorf("%q, %v", to, err)
	}
}
