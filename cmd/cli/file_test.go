package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

func TestCheckPrintsEveryMistakeOnALineOfItsOwn(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	if out, errOut, code := d.run("check"); code != 0 || out != d.file+": 1 build, no errors\n" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	d.write("builds.toml", "root = \"root\"\nrot = 1\n[[build]]\nname = \"development\"\nsource = \"src\"\nworkers = \"two\"\n")
	out, errOut, code := d.run("check")
	if code != exitFailed || unlessAsRoot(errOut) != "" || strings.Count(out, "\n") != 2 || !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(d.file)+`:2:1: unknown key rot; did you mean "root"\?$`).MatchString(out) {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
}

func TestCheckSaysWhatRunsOnAnotherHost(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	plain := d.read("builds.toml")
	for host, where := range map[string]string{"elsewhere.example.org": "elsewhere.example.org", here: "this host"} {
		d.write("builds.toml", plain+"\nonce_on = \""+host+"\"\n")
		want := d.file + ": 1 build, no errors\nthis host is " + here + "\nmigrations and schedules of development run on " + where + "\n"
		if out, errOut, code := d.run("check"); code != 0 || out != want {
			t.Errorf("exit %d, %q %q", code, out, errOut)
		}
	}
}

// unlessAsRoot is what check warned of, but for builds that run as root: they do where the tests do.
func unlessAsRoot(errOut string) string {
	return regexp.MustCompile(`(?m)^warning: .*: no user is set.*\n`).ReplaceAllString(errOut, "")
}

func TestNginxPassesEachLocationToItsSocket(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	socket := filepath.Join(d.dir, "root/development/gunicorn.sock")
	for _, flag := range []string{"", "--plain", "--upstreams", "--locations"} {
		out, errOut, code := d.run(append([]string{"nginx"}, strings.Fields(flag)...)...)
		if code != 0 || strings.Contains(out, "location /api") != (flag != "--upstreams") || strings.Contains(out, socket) != (flag != "--locations") {
			t.Errorf("nginx %s: exit %d, %q %q", flag, code, out, errOut)
		}
	}
	d.write("builds.toml", "root = 1\n")
	if _, errOut, code := d.run("nginx"); code != exitFailed || !strings.Contains(errOut, "builds.toml:1:8: ") {
		t.Errorf("of a bad file: exit %d, %q", code, errOut)
	}
}

// What a supervisor that is being upgraded asks the new program.
func TestANewProgramSaysWhetherItAcceptsTheFileAndTheState(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	out, errOut, code := d.run(supervisor.AcceptCommand)
	var word world.Acceptance
	if err := json.Unmarshal([]byte(out), &word); code != 0 || err != nil || word.Version != "test" || word.Handover == 0 {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	d.write("root/.supervisor/state/development.json", `{"version": 1000}`)
	if _, errOut, code := d.run(supervisor.AcceptCommand); code != exitFailed || !strings.Contains(errOut, "version 1000") {
		t.Errorf("a later version's state: exit %d, %q", code, errOut)
	}
	d.write("builds.toml", "root = 1\n")
	if _, errOut, code := d.run(supervisor.AcceptCommand); code != exitFailed || !strings.Contains(errOut, "builds.toml:1:8: ") {
		t.Errorf("a bad file: exit %d, %q", code, errOut)
	}
}

func TestVersionIsThatOfTheProgram(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"version", "--version"} {
		if out, _, code := newDesk(t).run(command); code != 0 || out != "medctrl-supervisor test\n" {
			t.Errorf("%s: exit %d, %q", command, code, out)
		}
	}
}

func TestTheFileIsTheOneInTheEnvironment(t *testing.T) {
	d := newSite(t)
	for want, file := range map[string]string{defaultConfig: "", d.file: d.file} {
		t.Setenv("MEDCTRL_CONFIG", file)
		if got := Root("test").Flag("config").Value.String(); got != want {
			t.Errorf("MEDCTRL_CONFIG=%s: the file is %s", file, got)
		}
	}
}

func TestCompletionIsForOneShellOrExplained(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if out, _, code := d.run("completion"); code != 0 || !strings.Contains(out, "bash-completion") {
		t.Errorf("exit %d, %q", code, out)
	}
	d.fails(wrong{[]string{"completion", "bash", "zsh"}, exitUsage, []string{"takes one shell, got 2"}})
}
