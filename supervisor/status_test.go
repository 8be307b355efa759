package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestStatusTellsWhatServes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("b"), entry("a"))
	s.start()
	a := s.serves("a")
	s.serves("b")
	now := s.get("a")
	if a.Release != now.release || a.Pid != now.pid || a.Socket != s.root.Build("a").Socket() || a.Location != "/a" ||
		!slices.Equal(a.Releases, []string{now.release}) || a.Since.IsZero() {
		t.Errorf("%+v serves, status is %+v", now, a)
	}
	s.becomes("a", func(b control.BuildStatus) bool { return b.Memory > 0 && b.Queue == 0 })
	st, err := s.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Version != "test" || st.Pid != os.Getpid() || st.Config.Path != s.file || st.Config.Error != "" || st.Config.Loaded.IsZero() ||
		len(st.Builds) != 2 || st.Builds[0].Name != "b" || st.Log.Address != "stderr" || st.Front.Address != "" || st.Dashboard.Address != "" {
		t.Errorf("status is %+v", st)
	}
}

func TestDetailTellsWhatIsKnownOfABuild(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	old := s.serves("a")
	s.settings("a", "broken = 1\n")
	s.becomes("a", func(b control.BuildStatus) bool {
		return len(b.Releases) == 2 && strings.Contains(b.Reason, "(3 of 3 tries): exit code 3")
	})
	if _, err := s.ask("a", "/say?hello"); err != nil {
		t.Fatal(err)
	}
	d, err := s.client.Detail(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if d.Status.Release != old.Release || d.Status.Pid != old.Pid || len(d.History) != 2 {
		t.Fatalf("detail is %+v", d)
	}
	broken, serving := d.History[0], d.History[1]
	if broken.Serves || !strings.Contains(broken.Bad, "exit code 3") || !serving.Serves || serving.Release != old.Release || serving.Bad != "" || serving.Since.IsZero() {
		t.Errorf("the history is %+v", d.History)
	}
	if b := d.LastBuild; b == nil || b.Release != broken.Release || b.Result != "built" {
		t.Errorf("the last attempt was %+v", b)
	}
	if !slices.ContainsFunc(d.Events, func(e control.Event) bool { return e.Event == control.EventCandidateFailed }) {
		t.Errorf("events are %+v", d.Events)
	}
	if !slices.Contains(d.Output, "hello") {
		t.Errorf("the output is %q", d.Output)
	}
	if _, err := s.client.Detail(t.Context(), "c"); err == nil {
		t.Error("there is a detail of a build that is not there")
	}
}

// What an attempt took is known to the supervisors after the one that made it, from the release.
func TestLastAttemptIsKnownToTheNextSupervisor(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	first := s.start()
	s.serves("a")
	first.signals <- os.Interrupt
	first.wait()
	s.start()
	made := s.serves("a").Release
	d, err := s.client.Detail(t.Context(), "a")
	if err != nil || d.LastBuild == nil || d.LastBuild.Release != made || d.LastBuild.Took != 1 || len(d.LastBuild.Steps) != 1 {
		t.Errorf("detail is %+v, error %v", d, err)
	}
}

func TestLogsAreReadAndFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	s.serves("a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	say := func(what string) {
		t.Helper()
		if _, err := s.ask("a", "/say?"+what); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	say("two")
	var got strings.Builder
	read := func(q control.LogQuery) string {
		t.Helper()
		got.Reset()
		if err := s.client.Log(t.Context(), "a", q, func(text []byte) error {
			got.Write(text)
			return nil
		}); err != nil {
			t.Error(err)
		}
		return got.String()
	}
	if last := read(control.LogQuery{Lines: 1}); last != "two\n" {
		t.Errorf("the last line is %q", last)
	}
	if all := read(control.LogQuery{Lines: 10, Since: time.Now().Add(-time.Hour)}); !strings.HasSuffix(all, "one\ntwo\n") {
		t.Errorf("the last hour's is %q", all)
	}
	if none := read(control.LogQuery{Lines: 10, Since: time.Now().Add(time.Hour)}); none != "" {
		t.Errorf("an hour from now on it is %q", none)
	}
	if built := read(control.LogQuery{Lines: 1, Build: true}); built != "of a\n" {
		t.Errorf("the attempt printed %q", built)
	}
	if built := read(control.LogQuery{Lines: 10, Build: true, Since: time.Now().Add(-time.Hour)}); built != "copy\nof a\n" {
		t.Errorf("the attempt printed %q", built)
	}
	if one := read(control.LogQuery{Lines: 10, Match: regexp.MustCompile("^o")}); one != "one\n" {
		t.Errorf("what begins with o is %q", one)
	}
	if none := read(control.LogQuery{Lines: 10, Until: time.Now().Add(-time.Hour)}); none != "" {
		t.Errorf("an hour ago it was %q", none)
	}
	var lines []string
	err := s.client.LogLines(t.Context(), "a", control.LogQuery{Lines: 1, Follow: true, Match: regexp.MustCompile("^t")}, func(l control.LogLine) error {
		if lines = append(lines, l.Build+" "+l.Source+" "+l.Line); time.Since(l.Time) > time.Hour || len(lines) > 3 {
			return fmt.Errorf("%+v", l)
		}
		if l.Line == "two-three" {
			return io.EOF
		}
		return nil
	}, func() {
		lines = append(lines, "current")
		say("no")
		say("two-three")
	})
	if want := []string{"a server two", "current", "a server two-three"}; !errors.Is(err, io.EOF) || !slices.Equal(lines, want) {
		t.Errorf("line by line: %q, %v, want %q", lines, err, want)
	}
	say("two")
	seen, enough := "", errors.New("enough")
	err = s.client.Log(ctx, "a", control.LogQuery{Lines: 1, Follow: true}, func(text []byte) error {
		if seen += string(text); seen == "two\n" {
			say("three")
		}
		if strings.HasSuffix(seen, "three\n") {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != "two\nthree\n" {
		t.Errorf("what is followed is %q, error %v", seen, err)
	}
	if err := s.client.Log(t.Context(), "c", control.LogQuery{Lines: 1}, nil); err == nil {
		t.Error("there is a log of a build that is not there")
	}
	if err := os.Remove(layout.Log(s.root.Logs(), "a")); err != nil {
		t.Fatal(err)
	}
	if none := read(control.LogQuery{Lines: 1, Since: time.Now()}); none != "" {
		t.Errorf("a log that is gone is %q", none)
	}
}

func TestMetricsTellWhatBuildsUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	s.serves("a")
	text, err := over(ControlSocket(string(s.root)), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "memory", "front"} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics say nothing of %s:\n%s", want, text)
		}
	}
}

// The dashboard shows an hour of samples.
func TestSamplesTellWhatABuildUsed(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s := newSite(t, "dashboard = \""+address+"\"", entry("a"))
	r := s.start()
	s.serves("a")
	r.reports.meters.SampleOnce(time.Now())
	text, err := fetch(http.DefaultClient, "http://"+address+"/v1/samples")
	if err != nil {
		t.Fatal(err)
	}
	var got control.Samples
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Builds["a"]) == 0 || got.Builds["a"][0].Memory == 0 {
		t.Errorf("samples are %s, error %v", text, err)
	}
}
