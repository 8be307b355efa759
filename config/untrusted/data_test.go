package untrusted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// part is text at a place in a file.
type part struct {
	at   int64
	text string
}

func sparse(t *testing.T, size int64, parts ...part) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Skipf("this file system has no such files: %v", err)
	}
	for _, p := range parts {
		if _, err := f.WriteAt([]byte(p.text), p.at); err != nil {
			t.Fatal(err)
		}
	}
	if !HasHole(f, size) {
		t.Skip("this file system makes no holes")
	}
	return f
}

func TestEndOfAFileFullOfHolesIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	const tera = 1 << 40
	for name, c := range map[string]struct {
		size  int64
		parts []part
		most  int64
		want  string
	}{
		"hole up to the end":   {4 * tera, []part{{0, "first\n"}}, 1 << 20, "first\n"},
		"hole in the middle":   {3*tera + 5, []part{{0, "first\n"}, {3 * tera, "last\n"}}, 1 << 20, "first\nlast\n"},
		"hole at the start":    {2*tera + 5, []part{{2 * tera, "last\n"}}, 1 << 20, "last\n"},
		"nothing but a hole":   {4 * tera, nil, 1 << 20, ""},
		"bounded":              {3*tera + 5, []part{{0, "first\n"}, {3 * tera, "last\n"}}, 3, "st\n"},
		"many":                 {4 * tera, []part{{0, "a"}, {1 * tera, "b"}, {2 * tera, "c"}, {3 * tera, "d"}}, 1 << 20, "abcd"},
		"off the blocks' ends": {4 * tera, []part{{tera + 4094, "begins\n"}, {2*tera + 1234, "ends\n"}}, 1 << 20, "begins\nends\n"},
	} {
		got, err := Tail(sparse(t, c.size, c.parts...), c.size, c.most)
		if string(got) != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestEndOfAFileWithoutHolesIsAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	text := strings.Repeat("line with a \x00 in it\n", 200_000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, most := range []int64{0, 1, 5000, 3 << 20, 1 << 30} {
		got, err := Tail(f, int64(len(text)), most)
		if want := text[max(0, int64(len(text))-most):]; string(got) != want || err != nil {
			t.Errorf("the last %d bytes: %d bytes, %v", most, len(got), err)
		}
	}
}

func TestWhatIsReadForwardsSkipsHoles(t *testing.T) {
	t.Parallel()
	const size, half = 1 << 40, 1 << 39
	f := sparse(t, size, part{0, "first\n"}, part{half, "last\n"})
	var all strings.Builder
	for at := int64(0); ; {
		data, end, err := DataAfter(f, at, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		if end == at {
			break
		}
		all.Write(data)
		at = end
	}
	if all.String() != "first\nlast\n" {
		t.Errorf("%q", all.String())
	}
	if data, end, err := DataAfter(f, 2*size, 10); len(data) != 0 || end != 2*size || err != nil {
		t.Errorf("behind the end: %q, %d, %v", data, end, err)
	}
}
