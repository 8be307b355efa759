package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

const huge = 4 << 40

// enlarged is a log that its process has written "before" to, made huge, and written "after" to.
func enlarged(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "a.log")
	f, err := Append(path, custody.Custody{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(huge); err != nil {
		t.Skipf("this file system has no such files: %v", err)
	}
	if _, err := f.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	return path
}

// folders are one on the disk, and one in memory, whose file system cannot collapse.
func folders(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"disk": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "journal"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		all["memory"] = dir
	}
	return all
}

func TestEndOfALogMadeHugeIsReadAtOnce(t *testing.T) {
	t.Parallel()
	for name, dir := range folders(t) {
		lines, err := Tail(enlarged(t, dir), 10)
		if want := []string{"before", "after"}; !slices.Equal(lines, want) || err != nil {
			t.Errorf("%s: %.100q, %v", name, lines, err)
		}
		if lines := TailFrom(filepath.Join(dir, "a.log"), 0, 10); !slices.Contains(lines, "after") {
			t.Errorf("%s: since its start: %q", name, lines)
		}
	}
}

func TestLogMadeHugeIsRepairedWithWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, dir := range folders(t) {
		path := enlarged(t, dir)
		r := newRotation(path, Policy{MaxBytes: 100_000})
		if how, err := r.run(); how != notDue || err != nil {
			t.Fatalf("%s: %v, %v", name, how, err)
		}
		if size := Size(path); size > 64<<10 || r.enlarged < huge-64<<10 {
			t.Errorf("%s: it has %d bytes, %d were taken out", name, size, r.enlarged)
		}
		add(t, path, "later\n")
		lines, err := Tail(path, 10)
		if want := []string{"before", "after", "later"}; !slices.Equal(lines, want) || err != nil {
			t.Errorf("%s: %.100q, %v", name, lines, err)
		}
		if _, err := os.Stat(path + ".1"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: nothing is large, and %s.1 was made: %v", name, path, err)
		}
	}
}

func TestHoleUpToTheLogsEndIsTakenOut(t *testing.T) {
	t.Parallel()
	for name, dir := range folders(t) {
		path := filepath.Join(dir, "b.log")
		text := strings.Repeat("line of a log\n", 1000)
		add(t, path, text)
		if err := os.Truncate(path, huge); err != nil {
			t.Skipf("this file system has no such files: %v", err)
		}
		if _, err := newRotation(path, Policy{MaxBytes: 100_000}).run(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if size := Size(path); size > int64(len(text))+64<<10 {
			t.Errorf("%s: it has %d bytes", name, size)
		}
		add(t, path, "later\n")
		got, err := os.ReadFile(path)
		if got = bytes.ReplaceAll(got, []byte{0}, nil); string(got) != text+"later\n" || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestRoomReservedInALogIsTakenBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	f, err := Append(path, custody.Custody{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const reserved = 4 << 20
	if err := unix.Fallocate(int(f.Fd()), 0, 0, reserved); err != nil {
		t.Skip(err)
	}
	if _, err := f.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := newRotation(path, Policy{MaxBytes: 100_000}).run(); err != nil {
		t.Fatal(err)
	}
	if size := Size(path); size > 64<<10 {
		t.Errorf("it has %d bytes", size)
	}
	if lines, err := Tail(path, 10); !slices.Equal(lines, []string{"after"}) || err != nil {
		t.Errorf("%q, %v", lines, err)
	}
}

func TestFollowerOfALogMadeHugeGetsWhatIsWrittenOnce(t *testing.T) {
	t.Parallel()
	for name, dir := range folders(t) {
		path := enlarged(t, dir)
		var got strings.Builder
		steps := map[string]func(){
			"before\nafter\n": func() {
				if _, err := newRotation(path, Policy{MaxBytes: 100_000}).run(); err != nil {
					t.Error(err)
				}
				add(t, path, "later\n")
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		err := Follow(ctx, path, 0, func(text []byte) error {
			got.Write(text)
			if step := steps[got.String()]; step != nil {
				step()
			}
			if strings.HasSuffix(got.String(), "later\n") {
				return errEnough
			}
			return nil
		})
		cancel()
		if want := "before\nafter\nlater\n"; !errors.Is(err, errEnough) || got.String() != want {
			t.Errorf("%s: %.100q, %v", name, got.String(), err)
		}
	}
}

func TestWatcherSaysThatALogWasMadeLarger(t *testing.T) {
	t.Parallel()
	path := enlarged(t, t.TempDir())
	var said bytes.Buffer
	w := watcher{policy: Policy{MaxBytes: 100_000}.orDefault(), log: hclog.New(&hclog.LoggerOptions{Output: &said})}
	w.round(t.Context(), []string{path})
	if text := said.String(); !strings.Contains(text, "log was made larger than what was written to it") || !strings.Contains(text, path) {
		t.Errorf("%q", text)
	}
	if size := Size(path); size > 64<<10 {
		t.Errorf("it has %d bytes", size)
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := Append(path, custody.Custody{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
