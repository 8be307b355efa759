package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A list is never null and a time is in UTC, in whole seconds: readers of the JSON rely on it.
func TestListsAreNeverNullAndTimesAreInUTC(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.FixedZone("CET", 3600))
	const utc = `"2026-11-23T09:00:00Z"`
	for _, c := range []struct {
		value any
		want  []string
	}{
		{BuildStatus{Since: at}, []string{`"since":` + utc, `"releases":[]`}},
		{BuildDetail{}, []string{`"history":[]`, `"last_build":null`, `"output":[]`, `"events":[]`, `"releases":[]`}},
		{ReleaseStatus{Built: at, Since: at, Until: at}, []string{`"built":` + utc, `"since":` + utc, `"until":` + utc}},
		{BuildResult{Started: at}, []string{`"started":` + utc, `"steps":[]`}},
		{Samples{}, []string{`"builds":{}`}},
		{Deployed{Commit: &Commit{Time: at}}, []string{`"because":[]`, `"doubts":[]`, `"time":` + utc, `"no_request_lost":false`}},
		{Sample{Time: at}, []string{`"time":` + utc, `"latency_seconds":null`}},
		{Event{Time: at}, []string{`"time":"2026-11-23T09:00:00.5Z"`}},
		{Status{Started: at, Config: ConfigStatus{Loaded: at}}, []string{`"started":` + utc, `"loaded":` + utc, `"builds":[]`}},
	} {
		text, err := json.Marshal(c.value)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(string(text), want) {
				t.Errorf("%T: want %s in %s", c.value, want, text)
			}
		}
	}
}

func TestReleaseThatNeverServedHasNoTimes(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(ReleaseStatus{Release: "r1"})
	if err != nil || strings.Contains(string(text), "since") || strings.Contains(string(text), "until") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestDetailIsThatOfTheBuildThatIsNamed(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	got, err := c.Detail(t.Context(), "new")
	if want := f.Status(false).Builds[1]; err != nil || got.Status.Name != want.Name || got.Status.State != want.State {
		t.Errorf("%+v, %v", got.Status, err)
	}
	_, err = c.Detail(t.Context(), "nobody")
	var refused *Error
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("of none: %v", err)
	}
}

// A dashboard serves the same API over TCP and decides itself who may write.
func TestHandlerForOthersServesTheSameAPI(t *testing.T) {
	t.Parallel()
	f := &fake{feed: NewFeed(nil)}
	server := httptest.NewServer(NewHandler(f, NewMetrics("1.4.0", fakeSource{}), hclog.NewNullLogger()))
	defer server.Close()
	get := func(path string, into any) int {
		t.Helper()
		answer, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return answer.StatusCode
	}
	var status Status
	if code := get("/v1/status?usage=no", &status); code != http.StatusOK || len(status.Builds) != 2 {
		t.Errorf("status: %d, %+v", code, status)
	}
	var samples Samples
	if code := get("/v1/samples", &samples); code != http.StatusOK || !reflect.DeepEqual(samples, f.Samples()) {
		t.Errorf("samples: %d, %+v", code, samples)
	}
	var trouble struct{ Error string }
	for _, path := range []string{"/v1/status?usage=perhaps", "/v1/logs/development?follow=perhaps", "/v1/logs/development?since=noon"} {
		if code := get(path, &trouble); code != http.StatusBadRequest || !strings.Contains(trouble.Error, "want") {
			t.Errorf("%s: %d, %q", path, code, trouble.Error)
		}
	}
	answer, err := server.Client().Post(server.URL+"/v1/builds/development/stop", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || !reflect.DeepEqual(f.acted, []string{"stop"}) {
		t.Errorf("stop: %d, done %q", answer.StatusCode, f.acted)
	}
}
