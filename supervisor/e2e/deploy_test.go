package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a CI job does after a pull, with everything real: git, the steps, gunicorn, and clients that
// count. The build's files are watched only as far as its settings go, so that nothing but the command
// has it built.
func TestDeployWaitsAndFailsAsCIExpects(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	w := NewWorld(t, One("workers = 2"))
	w.WithDjango()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pull := func(file, text, subject string) string { // a commit that comes with it
		t.Helper()
		must(os.WriteFile(filepath.Join(w.Source, file), []byte(text), 0o644))
		must(git(w.Source, "add", "-A"))
		must(git(w.Source, "commit", "-q", "-m", subject))
		hash, err := exec.Command("git", "-C", w.Source, "-c", "safe.directory=*", "rev-parse", "HEAD").Output()
		must(err)
		return strings.TrimSpace(string(hash))
	}
	must(git(w.Source, "init", "-q", "-b", "main"))
	pull("API/things/prices.py", "PRICE = 1\n", "One")
	w.Serve("one")
	before := w.WaitState("one", "running")
	if out, errOut, code := w.CLI("deploy"); code != 0 || out != "one: up to date, serving "+before.Release+"\n" {
		t.Fatalf("where nothing has changed: exit %d, %q %q", code, out, errOut)
	}
	tr := w.Load("one", 50)
	tr.GoOn(t, 20)
	hash := pull("API/things/prices.py", "PRICE = 2\n", "Show \x1b[31mred prices")
	if out, _, code := w.CLI("reload", "--dry-run"); code != 0 || out != "one: API/things/prices.py changed: rebuild\n" {
		t.Errorf("a dry run: exit %d, %q", code, out)
	}
	out, errOut, code := w.CLI("deploy", "one")
	last := lastLine(strings.TrimSuffix(out, "\n"))
	if code != 0 || !strings.HasPrefix(out, "one: building: API/things/prices.py changed\none: step 1 of 8: settings\none: step 2 of 8: copy\n") ||
		!regexp.MustCompile(`^one: \d{8}T\d{6} → \d{8}T\d{6} in \d+\.\d+s, no request lost$`).MatchString(last) {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	var status struct {
		Builds []struct {
			Release string
			Commit  *struct {
				Hash, Branch, Subject, Author string
				Changed                       int
			}
		}
	}
	must(json.Unmarshal([]byte(w.MustCLI("status", "--json")), &status))
	now := status.Builds[0]
	if now.Release == before.Release || now.Commit == nil || now.Commit.Hash != hash || now.Commit.Branch != "main" || now.Commit.Subject != "Show [31mred prices" ||
		now.Commit.Author != "x" || now.Commit.Changed != 0 {
		t.Errorf("%+v, commit %+v", now, now.Commit)
	}
	if page := w.MustCLI("status", "one"); !strings.Contains(page, "on main, Show [31mred prices (x)") || strings.Contains(page, "\x1b[31m") || !strings.Contains(page, "asked for by ") {
		t.Errorf("status one:\n%s", page)
	}

	pull("API/api_settings/urls.py", "raise RuntimeError('broken on purpose')\n", "Break it")
	out, errOut, code = w.CLI("deploy")
	if code != 1 || !strings.Contains(errOut, "one: deploy failed: ") || !strings.Contains(errOut, "broken on purpose") || !strings.HasSuffix(errOut, "; release "+now.Release+" keeps serving\n") {
		t.Errorf("a release that does not serve: exit %d, %q %q", code, out, errOut)
	}
	tr.Stop().NoneLost(t)
	w.MustCLI("stop", "one")
	if _, errOut, code := w.CLI("deploy", "one"); code != 1 || !strings.Contains(errOut, "`start one`") {
		t.Errorf("of a stopped build: exit %d, %q", code, errOut)
	}
	w.Replace(w.File, "workers = 2", "workers = \"two\"", Overwrite)
	if _, errOut, code := w.CLI("deploy", "one"); code != 1 || !regexp.MustCompile(`builds\.toml:\d+:\d+: `).MatchString(errOut) {
		t.Errorf("with a bad file: exit %d, %q", code, errOut)
	}
}
