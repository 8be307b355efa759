package supervisor

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestDeployServesWhatIsInTheSource(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"), entry("b"))
	s.unwatched()
	s.start()
	s.serves("b")
	first := s.serves("a")
	var lines []string
	d, err := s.client.Deploy(t.Context(), "a", true, nil)
	if err != nil || d.Changed || d.Release != first.Release {
		t.Errorf("where nothing has changed: %+v, %v", d, err)
	}
	s.settings("a", "a = 2\n")
	d, err = s.client.Deploy(t.Context(), "a", true, func(line string) { lines = append(lines, line) })
	if err != nil || !d.Changed || d.From != first.Release || d.Release <= first.Release || !d.NoneLost || len(d.Doubts) > 0 || d.Took <= 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if s.get("a").release != d.Release || !slices.Contains(lines, "a: step 1 of 1: copy") {
		t.Errorf("%q", lines)
	}
	s.settings("a", "no release\n")
	if _, err = s.client.Deploy(t.Context(), "a", true, nil); err == nil || !strings.Contains(err.Error(), "no release can be made of this") {
		t.Errorf("%v", err)
	}
	if s.get("a").release != d.Release {
		t.Error("the old release does not serve on")
	}
	if _, err = s.client.Deploy(t.Context(), "nobody", true, nil); err == nil || !strings.Contains(err.Error(), `"nobody" is not in`) {
		t.Errorf("%v", err)
	}
}

// The file is part of what was pulled.
func TestDeployAppliesTheFileOrSaysWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.unwatched()
	s.start()
	before := s.serves("a")
	s.builds("", entry("a"), entry("b"))
	if d, err := s.client.Deploy(t.Context(), "b", true, nil); err != nil || d.From != "" || d.Release == "" || d.NoneLost {
		t.Errorf("a build that is new: %+v, %v", d, err)
	}
	s.builds("", entry("a", `env = {X = "1"}`), entry("b"))
	if d, err := s.client.Deploy(t.Context(), "a", true, nil); err != nil || !d.Changed || d.From != before.Release || d.Release != before.Release {
		t.Errorf("changed run settings: %+v, %v", d, err)
	}
	s.builds("", entry("a", `workers = "two"`), entry("b"))
	s.settings("a", "a = 3\n")
	if _, err := s.client.Deploy(t.Context(), "a", true, nil); err == nil || !strings.Contains(err.Error(), "nothing was deployed, because the file has mistakes:\n") ||
		!strings.Contains(err.Error(), "workers") {
		t.Errorf("a bad file: %v", err)
	}
}

func TestDeployNamesWhoAskedForIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.unwatched()
	s.start()
	s.serves("a")
	s.settings("a", "a = 2\n")
	d, err := s.client.Deploy(t.Context(), "a", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	var by []string
	err = s.client.Events(t.Context(), false, func(e control.Event) error {
		if e.Release == d.Release && e.By != "" {
			by = append(by, e.Event)
		}
		return nil
	})
	if err != nil || !slices.Contains(by, "built") || !slices.Contains(by, "took_over") {
		t.Errorf("events by a person: %q, %v", by, err)
	}
	detail, err := s.client.Detail(t.Context(), "a")
	if err != nil || !strings.Contains(detail.History[0].By, "uid") {
		t.Errorf("the release: %+v, %v", detail.History, err)
	}
}

func TestReloadNamesWhatChangesAndWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a", `env = {DEBUG = "0", API_KEY = "hunter2"}`, `env_file = "a.env"`), entry("b"))
	s.write("a.env", "PASSWORD=x\n")
	s.unwatched()
	s.start()
	s.serves("a")
	s.serves("b")
	changes, err := s.client.Reload(t.Context(), true)
	if err != nil || len(changes) > 0 {
		t.Errorf("where nothing has changed: %q, %v", changes, err)
	}
	s.settings("b", "b = 2\n")
	s.write("a.env", "PASSWORD=y\nNEW=1\n")
	s.builds("", entry("a", `env = {DEBUG = "1", API_KEY = "hunter3"}`, `env_file = "a.env"`, "workers = 3", `pip_args = ["-q"]`), entry("b"))
	changes, err = s.client.Reload(t.Context(), true)
	want := []string{`a: pip_args [] → ["-q"]: rebuild`, "a: workers 2 → 3: restart", "a: env.API_KEY changed: restart", `a: env.DEBUG "0" → "1": restart`,
		"a: variable NEW added: restart", "a: variable PASSWORD changed: restart", "b: deploy_b.py changed: rebuild"}
	if err != nil || !slices.Equal(changes, want) {
		t.Errorf("%q, want %q, error %v", changes, want, err)
	}
}

// A commit that the record of a release has is shown wherever the release is.
func TestCommitOfAReleaseIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	r := s.start()
	release := s.serves("a").Release
	record := filepath.Join(s.root.Build("a").Release(release).Record())
	var all map[string]any
	text, err := os.ReadFile(record)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	all["commit"] = map[string]any{"hash": "4f3a2b", "branch": "main", "subject": "Show prices", "author": "Ada"}
	if text, err = json.Marshal(all); err == nil {
		err = os.WriteFile(record, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.signals <- os.Interrupt
	r.wait()
	s.start()
	if b := s.serves("a"); b.Commit == nil || b.Commit.Hash != "4f3a2b" || b.Commit.Subject != "Show prices" {
		t.Errorf("%+v", b.Commit)
	}
	if d, err := s.client.Detail(context.Background(), "a"); err != nil || d.History[0].Commit == nil || d.History[0].Commit.Author != "Ada" {
		t.Errorf("%+v, %v", d.History, err)
	}
}
