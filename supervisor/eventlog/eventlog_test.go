package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

type event struct {
	Number int    `json:"number"`
	Text   string `json:"text,omitempty"`
}

// lines are events number from to below to, as they stand in the file.
func lines(from, below int) string {
	var all strings.Builder
	for n := from; n < below; n++ {
		fmt.Fprintf(&all, `{"number":%d}`+"\n", n)
	}
	return all.String()
}

func open(t *testing.T, path string, enough int) (l *Log, past string, said *bytes.Buffer) {
	t.Helper()
	said = &bytes.Buffer{}
	l, text := Open(path, hclog.New(&hclog.LoggerOptions{Output: said, Level: hclog.Trace}), enough)
	return l, string(text), said
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Errorf("%s holds %.300q, %v, want %.300q", filepath.Base(path), text, err, want)
	}
}

func TestEarlierEventsComeBackInOrderFromBothFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, now, want string }{
		"nothing yet":           {"", "", ""},
		"one file":              {"", lines(0, 3), lines(0, 3)},
		"the newer is enough":   {lines(0, 3), lines(3, 8), lines(3, 8)},
		"both":                  {lines(0, 3), lines(3, 7), lines(0, 7)},
		"only the older":        {lines(0, 3), "", lines(0, 3)},
		"half a line":           {"", lines(0, 2) + `{"num`, lines(0, 2) + `{"num`},
		"half a line in middle": {lines(0, 2) + `{"num`, lines(3, 5), lines(0, 2) + "{\"num\n" + lines(3, 5)},
	} {
		path := filepath.Join(t.TempDir(), "events")
		for file, text := range map[string]string{path: c.now, path + ".1": c.old} {
			if text != "" {
				write(t, file, text)
			}
		}
		_, past, said := open(t, path, 5)
		if past != c.want || said.Len() > 0 {
			t.Errorf("%s: %q come back, want %q; logged is %q", name, past, c.want, said)
		}
	}
}

func TestWhatIsAddedOutlivesTheRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	l, _, said := open(t, path, 5)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(done)
	}()
	var adders sync.WaitGroup
	for n := range 4 {
		adders.Go(func() {
			for i := range 50 {
				l.Add(event{Number: 100*n + i})
			}
		})
	}
	adders.Wait()
	l.Flush() // next to Run
	close(done)
	<-ended
	_, past, _ := open(t, path, 5)
	last := map[int]int{}
	for text := range strings.Lines(past) {
		var e event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if last[e.Number/100] > e.Number {
			t.Errorf("event %d stands after %d, which was added later", e.Number, last[e.Number/100])
		}
		last[e.Number/100] = e.Number
	}
	if got := strings.Count(past, "\n"); got != 200 || said.Len() > 0 {
		t.Errorf("%d events came back of 200, logged is %q", got, said)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

func TestRunWritesWithoutBeingTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := open(t, path, 5)
		done := make(chan struct{})
		go l.Run(done)
		for n := range 3 {
			l.Add(event{Number: n})
			synctest.Wait()
			holds(t, path, lines(0, n+1))
		}
		close(done)
	})
}

func TestWhatIsAddedBeforeTheEndIsWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	for n := range 20 {
		l, _, _ := open(t, path, 5)
		l.Add(event{Number: n})
		done := make(chan struct{})
		close(done)
		l.Run(done)
		holds(t, path, lines(0, n+1))
	}
}

func TestLargeFileBecomesTheOldOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	l, _, _ := open(t, path, 5)
	flush := func(n, size int) string {
		e := event{n, strings.Repeat("x", size)}
		l.Add(e)
		l.Flush()
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	}
	first := flush(1, maxSize-100) // one file is not too large yet
	first += flush(2, 200)
	second := flush(3, maxSize)
	holds(t, path+".1", first)
	holds(t, path, second)
	third := flush(4, 0)
	holds(t, path+".1", second)
	holds(t, path, third)
	if _, past, _ := open(t, path, 5); past != second+third {
		t.Errorf("%d bytes come back", len(past))
	}
}

// The next line after half a one would be lost with it.
func TestHalfALineIsEndedBeforeTheNext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	write(t, path, lines(0, 1)+`{"num`)
	l, _, _ := open(t, path, 5)
	for n := 1; n < 3; n++ {
		l.Add(event{Number: n})
		l.Flush()
	}
	holds(t, path, lines(0, 1)+"{\"num\n"+lines(1, 3))
}

func TestFileThatCannotBeWrittenCostsItsEventsOnly(t *testing.T) {
	t.Parallel()
	for name, inTheWay := range map[string]struct{ folder, old string }{
		"no folder":               {"gone/events", ""},
		"a folder has the name":   {"events/x", ""},
		"none can become the old": {"events.1/x/y", strings.Repeat("x", maxSize) + "\n"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "events")
		if name == "no folder" {
			path = filepath.Join(dir, "gone", "events")
		} else if err := os.MkdirAll(filepath.Join(dir, inTheWay.folder), 0o700); err != nil {
			t.Fatal(err)
		}
		if inTheWay.old != "" {
			write(t, path, inTheWay.old)
		}
		l, _, said := open(t, path, 0)
		said.Reset() // a folder cannot be read either
		for n := range 3 {
			l.Add(event{Number: n})
			l.Flush()
		}
		if got := strings.Count(said.String(), "[WARN]"); got != 1 || !strings.Contains(said.String(), "cannot be written") {
			t.Errorf("%s: logged is %q", name, said)
		}
		said.Reset()
		for _, d := range []string{path, path + ".1"} {
			if err := os.RemoveAll(d); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		l.Add(event{Number: 3})
		l.Flush()
		l.Add(event{Number: 4})
		l.Flush()
		holds(t, path, lines(3, 5))
		if got := said.String(); strings.Count(got, "[WARN]") != 1 || !strings.Contains(got, "written to their file again: lost=3") {
			t.Errorf("%s: when it can be written again, logged is %q", name, got)
		}
	}
}

func TestDiskThatIsFullIsSaid(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	full.Close()
	path := filepath.Join(t.TempDir(), "events")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	// Open would read /dev/full, which has no end.
	l := &Log{path: path, log: hclog.New(&hclog.LoggerOptions{Output: &said}), wake: make(chan struct{}, 1)}
	l.Add(event{})
	l.Flush()
	if !strings.Contains(said.String(), unix.ENOSPC.Error()) {
		t.Errorf("logged is %q", &said)
	}
}

func TestEventWithoutJSONIsLeftOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	l, _, said := open(t, path, 5)
	l.Add(event{Number: 0})
	l.Add(func() {})
	l.Add(event{Number: 1})
	l.Flush()
	holds(t, path, lines(0, 2))
	if !strings.Contains(said.String(), "event cannot be written") {
		t.Errorf("logged is %q", said)
	}
}

func TestDiskThatBlocksCostsNoMemoryWithoutEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	l, _, said := open(t, path, 5)
	const all = 5*maxUnwritten + 1
	for n := range all {
		l.Add(event{Number: n})
		if len(l.unwritten) > maxUnwritten {
			t.Fatalf("%d events wait", len(l.unwritten))
		}
	}
	kept := len(l.unwritten)
	l.Flush()
	holds(t, path, lines(all-kept, all))
	if kept < maxUnwritten*9/10 || !strings.Contains(said.String(), fmt.Sprintf("lost=%d", all-kept)) {
		t.Errorf("%d of %d were kept, logged is %q", kept, all, said)
	}
}

func TestZeroLogKeepsNothing(t *testing.T) {
	t.Parallel()
	var l Log
	l.Add(event{})
	l.Flush()
	done := make(chan struct{})
	close(done)
	l.Run(done)
	if l.unwritten != nil {
		t.Errorf("%v waits", l.unwritten)
	}
}

func TestEarlierEventsThatCannotBeReadAreSaid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, past, said := open(t, path, 5); past != "" || strings.Count(said.String(), "earlier events cannot be read") != 1 {
		t.Errorf("%q come back, logged is %q", past, said)
	}
}

func TestDiskThatHangsIsWaitedForNoLongerThanSaid(t *testing.T) {
	t.Parallel()
	l, _, _ := open(t, filepath.Join(t.TempDir(), "events"), 1)
	done, ended := make(chan struct{}), make(chan struct{})
	l.writing.Lock() // as a write that hangs
	go func() { defer close(ended); l.Run(done) }()
	l.Add(event{Number: 1})
	l.Await(time.Millisecond) // returns
	l.writing.Unlock()
	l.Await(time.Hour)
	holds(t, l.path, lines(1, 2))
	close(done)
	<-ended
}
