package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the children that write.
func TestMain(m *testing.M) {
	if path := os.Getenv("JOURNAL_TEST_WRITE"); path != "" {
		os.Exit(writeLines(path, os.Getenv("JOURNAL_TEST_NAME")))
	}
	os.Exit(m.Run())
}

// writeLines appends numbered lines of differing lengths to path until its standard input ends, and
// prints how many there were.
func writeLines(path, name string) int {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(stop) }()
	for n := 0; ; n++ {
		select {
		case <-stop:
			fmt.Println(n)
			return 0
		default:
		}
		if _, err := fmt.Fprintf(f, "%s %d %s\n", name, n, strings.Repeat("x", n%97)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
}

// startWriter runs a writer in a process of its own; stop returns how many lines it wrote.
func startWriter(t *testing.T, path, name string) (stop func() int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_WRITE="+path, "JOURNAL_TEST_NAME="+name,
		"GORACE=atexit_sleep_ms=0") // it would sleep for a second at its end
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return func() int {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("writer: %v", err)
		}
		var n int
		if _, err := fmt.Sscan(out.String(), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// all is everything that is kept of a log, the oldest first.
func all(t *testing.T, path string) []byte {
	t.Helper()
	var files [][]byte
	for i := 0; ; i++ {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		text, err := os.ReadFile(name)
		if i > 0 && errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append([][]byte{text}, files...)
	}
	return bytes.Join(files, nil)
}

// canCollapse tells whether the file system at dir can.
func canCollapse(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.CreateTemp(dir, "try")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	f.Write(make([]byte, 1<<20))
	return collapse(f, 0, 1<<19) == nil
}

// rotate rotates a log once, if that is due.
func rotate(path string, p Policy) (rotated bool, err error) {
	how, err := newRotation(path, p).run()
	return how != notDue, err
}

// rotateUnderLoad has two processes write to a log while it is rotated, times over, and returns
// what is kept of it and how many lines each wrote.
func rotateUnderLoad(t *testing.T, dir string, times int, want manner) (text []byte, wrote map[string]int) {
	t.Helper()
	path := filepath.Join(dir, "a.log")
	stops := map[string]func() int{"one": nil, "two": nil}
	for name := range stops {
		stops[name] = startWriter(t, path, name)
	}
	p := Policy{MaxBytes: 32 << 10, Keep: 1_000_000}
	deadline := time.Now().Add(60 * time.Second)
	for done := 0; done < times; {
		how, err := newRotation(path, p).run()
		if err != nil {
			t.Fatal(err)
		}
		if how != notDue && how != want {
			t.Fatalf("rotated by %d, want %d", how, want)
		}
		if how != notDue {
			done++
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d rotations", done)
		}
	}
	wrote = map[string]int{}
	for name, stop := range stops {
		wrote[name] = stop()
	}
	return all(t, path), wrote
}

// count reads the writers' lines and fails where one is not whole, doubled or out of order.
func count(t *testing.T, text []byte) (read map[string]int) {
	t.Helper()
	read, next := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var name, pad string
		var n int
		fields := strings.Split(lines.Text(), " ")
		if len(fields) == 3 {
			name, pad = fields[0], fields[2]
			n, _ = strconv.Atoi(fields[1]) // a wrong one has the wrong length
		}
		if name != "one" && name != "two" || len(pad) != n%97 {
			t.Fatalf("not a whole line: %q", lines.Text())
		}
		if n < next[name] {
			t.Fatalf("line %d of %s comes after line %d", n, name, next[name]-1)
		}
		next[name] = n + 1
		read[name]++
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Error("the last line has no end")
	}
	return read
}

func TestNoLineIsLostOrDoubledWhileWritersGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if !canCollapse(t, dir) {
		t.Skip("this file system cannot collapse")
	}
	text, wrote := rotateUnderLoad(t, dir, 20, collapsed)
	read := count(t, text)
	for name, n := range wrote {
		if n == 0 || read[name] != n {
			t.Errorf("%d of %d lines of %s are there", read[name], n, name)
		}
	}
}

func TestWithoutCollapseLinesStayWholeAndInOrder(t *testing.T) {
	t.Parallel()
	const shm = "/dev/shm"
	dir, err := os.MkdirTemp(shm, "journal")
	if err != nil {
		t.Skip("no tmpfs at " + shm)
	}
	defer os.RemoveAll(dir)
	if canCollapse(t, dir) {
		t.Skip(shm + " can collapse")
	}
	text, wrote := rotateUnderLoad(t, dir, 20, truncated)
	read := count(t, text)
	for name, n := range wrote {
		// Lost are the lines of some milliseconds in all, at full speed.
		if read[name] == 0 || read[name] > n {
			t.Errorf("%d of %d lines of %s are there", read[name], n, name)
		}
		t.Logf("%s: %d of %d lines", name, read[name], n)
	}
}

// write appends numbered lines to the log until it has grown by size bytes.
func write(t *testing.T, path string, from, size int) (next int) {
	t.Helper()
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "one %d %s\n", from, strings.Repeat("x", from%97))
		from++
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	return from
}

func TestCrashAtAnyStepLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for _, refused := range []bool{false, true} {
		for _, step := range []string{"copied", "set aside", "cut", "shifted"} {
			for _, meanwhile := range []int{0, 100, 300_000} {
				t.Run(fmt.Sprintf("%s, collapse refused %v, %d bytes meanwhile", step, refused, meanwhile), func(t *testing.T) {
					t.Parallel()
					path := filepath.Join(t.TempDir(), "a.log")
					p := Policy{MaxBytes: 64 << 10, Keep: 50}
					next := 0
					for range 3 { // so that there is something to shift
						next = write(t, path, next, 100_000)
						if rotated, err := rotate(path, p); !rotated || err != nil {
							t.Fatal(rotated, err)
						}
					}
					next = write(t, path, next, 100_000)
					r := newRotation(path, p)
					r.at = func(at string) error {
						if at == step {
							return crash
						}
						return nil
					}
					if refused {
						r.collapse = func(*os.File, int64, int64) error { return unix.EOPNOTSUPP }
					}
					if _, err := r.run(); !errors.Is(err, crash) {
						t.Fatalf("run: %v", err)
					}
					next = write(t, path, next, meanwhile)
					for range 10 {
						if _, err := rotate(path, p); err != nil {
							t.Fatal(err)
						}
					}
					if read := count(t, all(t, path)); read["one"] != next {
						t.Errorf("%d of %d lines are there", read["one"], next)
					}
					for _, left := range []string{".copy", ".cut"} {
						if exists(path + left) {
							t.Errorf("%s is left", left)
						}
					}
				})
			}
		}
	}
}

func TestHalfACopyIsThrownAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	next := write(t, path, 0, 1000)
	if err := os.WriteFile(path+".copy", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if rotated, err := rotate(path, Policy{}); rotated || err != nil {
		t.Errorf("%v %v", rotated, err)
	}
	if exists(path+".copy") || count(t, all(t, path))["one"] != next {
		t.Error("the log has changed or the copy is left")
	}
}

func TestOnlySoManyAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	next := 0
	for range 8 {
		next = write(t, path, next, 40_000)
		if rotated, err := rotate(path, Policy{MaxBytes: 10_000, Keep: 5}); !rotated || err != nil {
			t.Fatal(rotated, err)
		}
	}
	if !exists(path+".5") || exists(path+".6") {
		t.Error("want five")
	}
	write(t, path, next, 40_000)
	if rotated, err := rotate(path, Policy{MaxBytes: 10_000, Keep: 2}); !rotated || err != nil {
		t.Fatal(rotated, err)
	}
	if !exists(path+".2") || exists(path+".3") {
		t.Error("want two")
	}
	count(t, all(t, path)[strings.Index(string(all(t, path)), "\n")+1:]) // the first line's beginning is gone
}

func TestHugeLogIsRotatedInParts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	if !canCollapse(t, filepath.Dir(path)) {
		t.Skip("this file system cannot collapse")
	}
	next := write(t, path, 0, 1_000_000)
	p := Policy{MaxBytes: 64 << 10, Keep: 100}
	for {
		rotated, err := rotate(path, p)
		if err != nil {
			t.Fatal(err)
		}
		if !rotated {
			break
		}
		if size := Size(path + ".1"); size > 2*p.MaxBytes {
			t.Errorf("a part of %d bytes", size)
		}
	}
	if Size(path) >= p.MaxBytes || count(t, all(t, path))["one"] != next {
		t.Errorf("%d bytes left", Size(path))
	}
}

func TestOnAFullDiskTheOldestGivesWay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	p := Policy{MaxBytes: 10_000, Keep: 5}
	for next := range 3 {
		write(t, path, next, 40_000)
		if rotated, err := rotate(path, p); !rotated || err != nil {
			t.Fatal(rotated, err)
		}
	}
	write(t, path, 0, 40_000)
	before := all(t, path)
	r := newRotation(path, p)
	full := 1 // that often
	r.at = func(step string) error {
		if step == "copied" && full > 0 {
			full--
			return unix.ENOSPC
		}
		return nil
	}
	if how, err := r.run(); how == notDue || err != nil {
		t.Fatal(how, err)
	}
	if !exists(path+".3") || exists(path+".4") || exists(path+".copy") {
		t.Error("want the three newest parts")
	}
	if after := all(t, path); len(after) >= len(before) || !bytes.HasSuffix(before, after) {
		t.Error("what is kept is not the newest of what there was")
	}
	// With nothing to give up, the log stays as it is and the error says why.
	other := filepath.Join(t.TempDir(), "b.log")
	next := write(t, other, 0, 40_000)
	r = newRotation(other, p)
	r.at = func(string) error { return unix.ENOSPC }
	if _, err := r.run(); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), other) {
		t.Errorf("error %v", err)
	}
	if count(t, all(t, other))["one"] != next || exists(other+".copy") || exists(other+".cut") {
		t.Error("the log has changed, or half a copy is left")
	}
}

func TestNothingButThePlainLogIsTouched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	write(t, other, 0, 100_000)
	before := all(t, other)
	for name, bend := range map[string]func(string) error{
		"symlink":  func(path string) error { return os.Symlink(other, path) },
		"hardlink": func(path string) error { return os.Link(other, path) },
		"fifo":     func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder":   func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(dir, name+".log")
		if err := bend(path); err != nil {
			t.Fatal(err)
		}
		if rotated, err := rotate(path, Policy{MaxBytes: 1000}); rotated || err == nil {
			t.Errorf("%s: %v %v", name, rotated, err)
		}
		if _, err := Tail(path, 1); err == nil && name != "hardlink" {
			t.Errorf("%s was read", name)
		}
	}
	if !bytes.Equal(before, all(t, other)) {
		t.Error("another file was changed")
	}
	// Nor is a copy written through a link that waits for it.
	path := filepath.Join(dir, "a.log")
	write(t, path, 0, 100_000)
	for _, left := range []string{".copy", ".1"} {
		if err := os.Symlink(other, path+left); err != nil {
			t.Fatal(err)
		}
	}
	if rotated, err := rotate(path, Policy{MaxBytes: 1000, Keep: 1}); !rotated || err != nil {
		t.Errorf("%v %v", rotated, err)
	}
	if !bytes.Equal(before, all(t, other)) {
		t.Error("another file was changed through a link")
	}
}

func TestRotatedFileIsNoMoreReadableThanTheLog(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]os.FileMode{0o640: 0o640, 0o600: 0o600, 0o666: 0o640} {
		path := filepath.Join(t.TempDir(), "a.log")
		write(t, path, 0, 10_000)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if rotated, err := rotate(path, Policy{MaxBytes: 1000}); !rotated || err != nil {
			t.Fatal(rotated, err)
		}
		info, err := os.Stat(path + ".1")
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("a log of mode %o is rotated to %o, want %o", mode, got, want)
		}
	}
}

func TestMissingAndSmallLogsAreNotDue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	if rotated, err := rotate(path, Policy{}); rotated || err != nil {
		t.Errorf("missing: %v %v", rotated, err)
	}
	write(t, path, 0, 1000)
	for _, p := range []Policy{{}, {MaxBytes: 10}} { // less than a block
		if rotated, err := rotate(path, p); rotated || err != nil {
			t.Errorf("small: %v %v", rotated, err)
		}
	}
}
