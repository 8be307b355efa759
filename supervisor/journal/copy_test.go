package journal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// copying runs a Copier in a bubble and returns a function that ends it. It has looked once.
func copying(paths func() []string, w io.Writer) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	c := NewCopier(paths(), paths, w, hclog.NewNullLogger())
	go func() {
		defer close(ended)
		c.Run(ctx)
	}()
	return func() { cancel(); <-ended }
}

// look lets time pass until the Copier has looked again.
func look() {
	time.Sleep(copyEvery)
	synctest.Wait()
}

func TestCopyHasWholeLinesFromNowOnToTheVeryEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "one.log")
		add(t, path, "long ago\n")
		var out bytes.Buffer
		end := copying(func() []string { return []string{path} }, &out)
		add(t, path, "first\nsec")
		look()
		if got := out.String(); got != "first\n" {
			t.Errorf("%q", got)
		}
		add(t, path, "ond\n")
		look()
		add(t, path, "last words")
		end()
		if got := out.String(); got != "first\nsecond\nlast words\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestLinesOfSeveralLogsAreNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		paths := []string{filepath.Join(dir, "one.log")}
		var mu sync.Mutex
		var out bytes.Buffer
		end := copying(func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(paths) }, &out)
		add(t, paths[0], "alone\n")
		look()
		mu.Lock()
		paths = append(paths, filepath.Join(dir, "two.schedule.mail.log"))
		mu.Unlock()
		look()
		add(t, paths[1], "a\nb\n")
		add(t, paths[0], "c\n")
		look()
		mu.Lock()
		paths = paths[:1] // as after an edit, which is then taken back
		mu.Unlock()
		look()
		mu.Lock()
		paths = paths[:2]
		mu.Unlock()
		end()
		if got := out.String(); got != "alone\none: c\ntwo.schedule.mail: a\ntwo.schedule.mail: b\n" {
			t.Errorf("%q", got)
		}
	})
}

// stuck is a reader that stands still until it is let go.
type stuck struct {
	bytes.Buffer
	going chan struct{}
}

func (s *stuck) Write(text []byte) (int, error) {
	<-s.going
	return s.Buffer.Write(text)
}

func TestAReaderThatStandsStillMissesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "one.log")
		to := &stuck{going: make(chan struct{})}
		end := copying(func() []string { return []string{path} }, to)
		var want strings.Builder
		for i := range 20 {
			text := strings.Repeat(fmt.Sprintln("line", i), 20_000) // more than one piece
			add(t, path, text)
			want.WriteString(text)
			look()
		}
		close(to.going)
		end()
		if to.String() != want.String() {
			t.Errorf("%d bytes, want %d", to.Len(), want.Len())
		}
	})
}

func TestTheEndOfACopyWaitsForNoReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "one.log")
		to := &stuck{going: make(chan struct{})}
		end := copying(func() []string { return []string{path} }, to)
		for range 3 {
			add(t, path, "a line\n")
			look()
		}
		begun := time.Now()
		end()
		if took := time.Since(begun); took != copyPatience {
			t.Errorf("it took %v, want %v", took, copyPatience)
		}
		close(to.going)
	})
}

func TestALineWithoutEndIsCopiedInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "one.log")
		var out bytes.Buffer
		end := copying(func() []string { return []string{path} }, &out)
		add(t, path, strings.Repeat("x", 3*longLine))
		look()
		if got := out.Len(); got < 2*longLine {
			t.Errorf("%d bytes are copied", got)
		}
		end()
		if got := strings.Count(out.String(), "x"); got != 3*longLine {
			t.Errorf("%d of %d", got, 3*longLine)
		}
	})
}

// failing fails while it is bad.
type failing struct {
	bytes.Buffer
	bad bool
}

func (f *failing) Write(text []byte) (int, error) {
	if f.bad {
		return 0, os.ErrClosed
	}
	return f.Buffer.Write(text)
}

func TestAWriterThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "one.log")
		to := &failing{bad: true}
		end := copying(func() []string { return []string{path} }, to)
		add(t, path, "lost\n")
		look()
		to.bad = false
		add(t, path, "kept\n")
		end()
		if got := to.String(); got != "kept\n" {
			t.Errorf("%q", got)
		}
	})
}
