package show

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLogsOfSeveralAreWholeLinesWithNames(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logs := NewLogs(&out, []string{"development", "one"})
	long, short := logs.Of(0, "development"), logs.Of(1, "one")
	for _, w := range []struct {
		to   *BuildLog
		text string
	}{{long, "half "}, {short, "a\nb\nrest"}, {long, "of a line\n"}} {
		if n, err := w.to.Write([]byte(w.text)); n != len(w.text) || err != nil {
			t.Fatal(n, err)
		}
	}
	for _, log := range []*BuildLog{long, short} {
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"one         | a", "one         | b", "development | half of a line", "one         | rest", ""}
	if got := strings.Split(out.String(), "\n"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A reader that is gone ends the log.
func TestALogSaysThatItsReaderIsGone(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer r.Close()
	log := NewLogs(w, []string{"one"}).Of(0, "one")
	if _, err := log.Write([]byte("line\n")); err == nil {
		t.Error("no error")
	}
}
