package supervisor

import (
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestRestlessFilesAreNamedInStatusAndEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a", "watch_source = true"))
	r := s.start()
	s.serves("a")
	r.sourceRestless("a", []string{"/src/API/app.log"})
	words := restlessWords([]string{"/src/API/app.log"})
	if b := s.status("a"); !slices.Equal(b.Warnings, []string{words}) {
		t.Errorf("warnings are %q", b.Warnings)
	}
	said := 0
	err := s.client.Events(t.Context(), false, func(e control.Event) error {
		if e.Event == control.EventSourceRestless && e.Build == "a" && e.Reason == words {
			said++
		}
		return nil
	})
	if said != 1 || err != nil {
		t.Errorf("said %d times in events, error %v", said, err)
	}
	r.sourceRestless("a", nil)
	if b := s.status("a"); len(b.Warnings) != 0 {
		t.Errorf("warnings are %q when it is over", b.Warnings)
	}
}

func TestRestlessWordsNameFewFiles(t *testing.T) {
	t.Parallel()
	text := restlessWords([]string{"/s/API/media/", "/s/1", "/s/2", "/s/3", "/s/4", "/s/5", "/s/6"})
	if want := "a file in /s/API/media, /s/1, /s/2, /s/3, /s/4, 2 more change again and again"; !strings.HasPrefix(text, want) {
		t.Errorf("%s\nwant %s…", text, want)
	}
}
