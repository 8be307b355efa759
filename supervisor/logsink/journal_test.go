package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

func TestEachLineCarriesItsPriority(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		var out bytes.Buffer
		log := hclog.New(&hclog.LoggerOptions{Name: "s", Level: hclog.Trace, Output: Prioritized{&out}, DisableTime: true, JSONFormat: json})
		log.Named("sub").With("build", "a").Error("failed", "error", "first\nsecond\nthird")
		log.Warn("weaker")
		log.Info("as usual")
		log.Debug("each effect")
		log.Trace("more")
		var got []byte // a priority for each line
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "<") || line[2] != '>' {
				t.Fatalf("a line without a priority: %q", line)
			}
			got = append(got, line[1])
		}
		want := "3333334677" // the text has the error in lines of its own
		if json {
			want = "34677"
		}
		if string(got) != want {
			t.Errorf("priorities %s, want %s: %s", got, want, &out)
		}
	}
}

func TestAWriteThatFailsIsNotCountedAsWritten(t *testing.T) {
	t.Parallel()
	r := &reader{gone: errors.New("broken pipe")}
	if n, err := (Prioritized{r}).Write([]byte("line\n")); n != 0 || err == nil {
		t.Error(n, err)
	}
	r.set(nil)
	if n, err := (Prioritized{r}).Write([]byte("line")); n != 4 || err != nil || r.text() != "<3>line" {
		t.Errorf("%d, %v, %q", n, err, r.text())
	}
}

func TestOnlyTheDescriptorThatIsNamedLeadsToTheJournal(t *testing.T) {
	t.Parallel()
	open := func() *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		return w
	}
	journal, other := open(), open()
	var st unix.Stat_t
	if err := unix.Fstat(int(journal.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	named := fmt.Sprintf("JOURNAL_STREAM=%d:%d", uint64(st.Dev), st.Ino)
	for what, c := range map[string]struct {
		environ []string
		fd      uintptr
		want    bool
	}{
		"the journal":           {[]string{"PATH=/bin", named}, journal.Fd(), true},
		"redirected since":      {[]string{"PATH=/bin", named}, other.Fd(), false},
		"not under a journal":   {[]string{"PATH=/bin"}, journal.Fd(), false},
		"not understood":        {[]string{"JOURNAL_STREAM=yes"}, journal.Fd(), false},
		"not a descriptor":      {[]string{named}, 1 << 20, false},
		"only its device fits":  {[]string{fmt.Sprintf("JOURNAL_STREAM=%d:1", uint64(st.Dev))}, journal.Fd(), false},
		"something is appended": {[]string{named + "0"}, journal.Fd(), false},
	} {
		if got := IsJournal(c.environ, c.fd); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
