package journal

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

func TestWhatOneOfSeveralSaidLastIsKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "one.log")
	open := func() *os.File {
		f, err := Append(path, custody.Custody{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	say := func(f *os.File, text string) {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	server, worker, silent := open(), open(), open()
	say(server, "server begins\n")
	say(worker, "Traceback\n")
	say(worker, "\x1b[31mModuleNotFoundError: No module named 'tasks'\n")
	say(server, "server goes on\n")
	if got := Said(path, worker, 2); !slices.Equal(got, []string{"Traceback", "ModuleNotFoundError: No module named 'tasks'"}) {
		t.Errorf("the worker said %q", got)
	}
	if got := Said(path, server, 1); !slices.Equal(got, []string{"server goes on"}) {
		t.Errorf("the server said %q", got)
	}
	if got := Said(path, silent, 9); got != nil {
		t.Errorf("one that was silent said %q", got)
	}
	// What was cut, or is another log by now, tells nothing.
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if got := Said(path, worker, 2); got != nil {
		t.Errorf("once it was cut the worker said %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := Said(path, worker, 2); got != nil {
		t.Errorf("without a log the worker said %q", got)
	}
	say(open(), "quite another log, which is longer than the one that was there before: nobody of those has written it\n")
	if got := Said(path, worker, 2); got != nil {
		t.Errorf("of another log the worker said %q", got)
	}
}
