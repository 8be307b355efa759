package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

var errEnough = errors.New("enough")

// Each line comes once, in order, also across rotations.
func TestFollowerGetsEachLineOnceAcrossRotations(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintln(log, "before")
	const lines = 30_000
	written := make(chan error, 1)
	var got bytes.Buffer
	begin := Size(path)
	go func() {
		for i := range lines {
			if _, err := fmt.Fprintf(log, "line %d of what a server writes into its log\n", i); err != nil {
				written <- err
				return
			}
			if i%3000 == 2999 {
				if _, err := rotate(path, Policy{MaxBytes: 64 << 10}); err != nil {
					written <- err
					return
				}
			}
		}
		written <- nil
	}()
	last := fmt.Sprintf("line %d of what a server writes into its log\n", lines-1)
	err = Follow(t.Context(), path, begin, func(text []byte) error {
		got.Write(text)
		if bytes.HasSuffix(got.Bytes(), []byte(last)) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	// What was rotated away between two looks cannot be told any more; what is told is told once
	// and in order.
	next := -1
	for line := range bytes.Lines(got.Bytes()) {
		var n int
		if _, err := fmt.Sscanf(string(line), "line %d of", &n); err != nil {
			continue // the rest of a line that was cut
		}
		if n <= next {
			t.Fatalf("line %d came after line %d", n, next)
		}
		next = n
	}
	if next != lines-1 {
		t.Errorf("the last line is %d", next)
	}
}

func TestFollowerWaitsForALogThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- Follow(ctx, path, 0, func(text []byte) error { got <- string(text); return nil })
	}()
	if err := os.WriteFile(path, []byte("here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "here\n" {
		t.Errorf("got %q", text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFollowerGoesOnWithTheFileThatTakesTheName(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"renamed":        func(path string) error { return os.Rename(path, path+".theirs") },
		"removed":        os.Remove,
		"truncated":      func(path string) error { return os.Truncate(path, 0) },
		"folder removed": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		path := filepath.Join(t.TempDir(), "logs", "a.log")
		add := func(line string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			f, err := Append(path, custody.Custody{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(line); errors.Join(err, f.Close()) != nil {
				t.Fatal(err)
			}
		}
		add("before\n")
		step := 0
		err := Follow(t.Context(), path, 0, func(text []byte) error {
			step++
			switch {
			case step == 1 && string(text) == "before\n":
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
				add("after it\n")
				return nil
			case step == 2 && string(text) == "after it\n":
				return errEnough
			}
			return fmt.Errorf("step %d: %q", step, text)
		})
		if !errors.Is(err, errEnough) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
