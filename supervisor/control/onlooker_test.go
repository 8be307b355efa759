package control

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// printed is a Backend whose every text quotes what a build printed.
type printed struct {
	Backend
	feed *Feed
}

// secretCommit is what people wrote.
var secretCommit = &Commit{Hash: "abc", Branch: "secret", Subject: "secret", Author: "secret"}

const quoted = "exited with status 3; last output: secret"

func (printed) Status(bool) Status {
	return Status{
		Config: ConfigStatus{Error: "builds.toml:3:7: env = \"secret\": want a table\nbuilds.toml:4:1: secret\n"},
		Builds: []BuildStatus{{Name: "a", State: "backoff", Reason: quoted, LastExit: "exited with status 3", BuildError: "step migrate failed: exit status 1: secret (/log)",
			Warnings: []string{"check: secret"}, Commit: secretCommit}},
	}
}

func (p printed) Detail(string) (BuildDetail, error) {
	return BuildDetail{
		Status: p.Status(false).Builds[0], Output: []string{"secret"}, Events: []Event{{Build: "a", Event: "exited", Reason: quoted}},
		History: []ReleaseStatus{{Release: "r1", Bad: "it broke: secret", Ended: quoted, Commit: secretCommit, By: "secret (uid 1)",
			Because: []string{"secret.py changed"}}},
		LastBuild: &BuildResult{Error: "migrate: secret"},
	}, nil
}
func (p printed) Events() *Feed { return p.feed }
func (printed) Log(_ context.Context, _ string, _ LogQuery, each func([]byte) error) error {
	return each([]byte("secret\n"))
}
func (printed) Act(context.Context, string, string, map[string]string, func(string)) (Outcome, error) {
	return Outcome{}, nil
}

func TestOnlookersSeeNothingThatABuildPrinted(t *testing.T) {
	t.Parallel()
	p := printed{feed: NewFeed(nil)}
	p.feed.Add(Event{Time: time.Now(), Build: "a", Event: "exited", Reason: quoted})
	look := func(public bool, method, path string) (int, string) {
		h := NewHandler(p, nil, hclog.NewNullLogger())
		if public {
			h = NewOnlookers(p, nil, hclog.NewNullLogger())
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	for path, want := range map[string]string{
		"/v1/status": `"reason":"exited with status 3 …"`, "/v1/builds/a": `"reason":"exited with status 3 …"`,
		"/v1/events?follow=0": `"reason":"exited with status 3 …"`, "/v1/logs/a": "",
	} {
		if _, text := look(false, "GET", path); !strings.Contains(text, "secret") {
			t.Errorf("%s has nothing to hide: %s", path, text)
		}
		code, text := look(true, "GET", path)
		if strings.Contains(text, "secret") || !strings.Contains(text, want) {
			t.Errorf("%s: %s", path, text)
		}
		if (code == 200) != (want != "") {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _ := look(true, "POST", "/v1/builds/a/stop"); code != 403 {
		t.Errorf("an onlooker may act: %d", code)
	}
	// What the others see is as before.
	if _, text := look(false, "GET", "/v1/events?follow=0"); !strings.Contains(text, "secret") {
		t.Errorf("events: %s", text)
	}
}
