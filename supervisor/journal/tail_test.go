package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// lay writes a log and its rotated files, the oldest first.
func lay(t *testing.T, files ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a.log")
	for i, text := range files {
		name := path
		if n := len(files) - 1 - i; n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestTailReadsAcrossRotatedFiles(t *testing.T) {
	t.Parallel()
	path := lay(t, "one\ntwo\nth", "ree\nfour\nfi", "ve\nsix\n")
	whole := []string{"one", "two", "three", "four", "five", "six"}
	for n := range 9 {
		got, err := Tail(path, n)
		if want := whole[max(0, len(whole)-n):]; err != nil || !slices.Equal(got, want) {
			t.Errorf("%d lines: %q, %v, want %q", n, got, err, want)
		}
	}
	long := strings.Repeat("0123456789", piece/5)
	path = lay(t, "a\n"+long[:piece+1], long[piece+1:]+"\nlast")
	if got, err := Tail(path, 3); err != nil || !slices.Equal(got, []string{"a", long, "last"}) {
		t.Errorf("%d lines, %v", len(got), err)
	}
}

func TestTailOfNothing(t *testing.T) {
	t.Parallel()
	path := lay(t, "")
	if got, err := Tail(path, 5); len(got) != 0 || err != nil {
		t.Errorf("empty: %q, %v", got, err)
	}
	if _, err := Tail(path+".none", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	path = lay(t, "kept\n", "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Tail(path, 5); err != nil || !slices.Equal(got, []string{"kept"}) {
		t.Errorf("only rotated: %q, %v", got, err)
	}
}

func TestTailFromTellsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files  []string
		offset int64
		lines  int
		want   []string
	}{
		"since":                {[]string{"old\nnew\nnewer\n"}, 4, 9, []string{"new", "newer"}},
		"last of them":         {[]string{"old\nnew\nnewer\n"}, 4, 1, []string{"newer"}},
		"nothing new":          {[]string{"older\n", "old\n"}, 4, 9, nil},
		"rotated since":        {[]string{"old\nne", "w\n"}, 4, 9, []string{"new"}},
		"rotated, all of it":   {[]string{"old\n", "new\n"}, 6, 9, []string{"w"}},
		"offset beyond it all": {[]string{"new\n"}, 1000, 9, []string{"new"}},
		"no log":               {nil, 0, 9, nil},
		"without an end":       {[]string{"old\nnew"}, 4, 9, []string{"new"}},
		"control characters":   {[]string{"\x1b[31;1mred\x1b[0m\ta\x00b\r\n\x1b]0;title\x07c\xff\x1b(Bd\u202e\n"}, 0, 9, []string{"red ab", "c\uFFFDBd"}},
	} {
		if got := TailFrom(lay(t, c.files...), c.offset, c.lines); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTailFromIsBounded(t *testing.T) {
	t.Parallel()
	path := lay(t, strings.Repeat("0123456789\n", 100_000))
	got := TailFrom(path, 0, 1_000_000)
	if n := len(got) * 11; n > maxSince || n < maxSince-22 {
		t.Errorf("%d bytes", n)
	}
	for _, line := range got {
		if line != "0123456789" {
			t.Fatalf("half a line: %q", line)
		}
	}
}

func TestTailSeesEveryLineDuringRotations(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	if !canCollapse(t, filepath.Dir(path)) {
		t.Skip("this file system cannot collapse")
	}
	next := write(t, path, 0, 10_000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := Tail(path, 400)
			if err != nil {
				t.Error(err)
				return
			}
			before := -1
			for i, line := range got[:len(got)-1] { // the last may still be being written
				var n int
				fmt.Sscanf(line, "one %d", &n)
				if i > 0 && n != before+1 {
					t.Errorf("line %d after line %d", n, before)
					return
				}
				before = n
			}
		}
	})
	for range 30 {
		next = write(t, path, next, 20_000)
		if _, err := rotate(path, Policy{MaxBytes: 16 << 10, Keep: 100}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestWatchRotatesWhatIsDueAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths []string
	for i := range 3 {
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("%d.log", i)))
	}
	write(t, paths[0], 0, 100_000)
	write(t, paths[1], 0, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, func() []string { return paths }, nil, Policy{MaxBytes: 20_000, Keep: 50}, time.Millisecond, hclog.NewNullLogger())
	}()
	until := func(what string, holds func() bool) {
		for deadline := time.Now().Add(10 * time.Second); !holds(); <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("not within 10 s: " + what)
			}
		}
	}
	until("the large one is small", func() bool { return Size(paths[0]) < 20_000 && exists(paths[0]+".1") })
	write(t, paths[2], 0, 100_000)
	until("the new one is small", func() bool { return Size(paths[2]) < 20_000 && exists(paths[2]+".1") })
	cancel()
	<-ended
	if exists(paths[1] + ".1") {
		t.Error("the small one was rotated")
	}
}

func TestWatchSaysATroubleOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	w := watcher{policy: Policy{}.orDefault(), log: hclog.New(&hclog.LoggerOptions{Output: &said})}
	for range 5 {
		w.round(t.Context(), []string{path})
	}
	if n := strings.Count(said.String(), "log not rotated"); n != 1 {
		t.Errorf("said %d times:\n%s", n, said.String())
	}
}

// BenchmarkWatchRound is one look at a thousand logs of which none is due.
func BenchmarkWatchRound(b *testing.B) {
	dir := b.TempDir()
	var paths []string
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprintf("%d.log", i))
		if err := os.WriteFile(path, []byte("line\n"), 0o600); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, path)
	}
	w := watcher{policy: Policy{}.orDefault(), log: hclog.NewNullLogger()}
	w.round(b.Context(), paths)
	for b.Loop() {
		w.round(b.Context(), paths)
	}
}
