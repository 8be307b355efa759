package inputs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSparseFileIsCopiedSparse(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(from)
	must(t, err)
	for _, at := range []int64{1 << 20, 12<<20 + 5, size - 3} {
		_, err = f.WriteAt([]byte("abc"), at)
		must(t, err)
	}
	must(t, f.Close())
	blocks := func(path string) int64 {
		info, err := os.Stat(path)
		must(t, err)
		return info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	if blocks(from) > size/2 {
		t.Skip("this file system has no holes")
	}
	hash, err := CopyFile(t.Context(), os.OpenFile, from, to, Ourselves)
	must(t, err)
	if blocks(to) > 4<<20 {
		t.Errorf("the copy takes %d bytes, the file %d", blocks(to), blocks(from))
	}
	text, err := os.ReadFile(to)
	must(t, err)
	if want := fmt.Sprintf("%x false", sha256.Sum256(text)); hash != want || len(text) != size {
		t.Errorf("hash %s of %d bytes, want %s of %d", hash, len(text), want, size)
	}
	for _, at := range []int{1 << 20, 12<<20 + 5, size - 3} {
		if string(text[at:at+3]) != "abc" {
			t.Errorf("at %d is %q", at, text[at:at+3])
		}
	}
}

// The hash is that of the bytes, however they are stored: it is part of a release's identity.
func TestHashOfAFileIsThatOfItsBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text []byte
		hole int64 // after it
	}{
		"empty": {nil, 0}, "hole alone": {nil, 1 << 20}, "data alone": {[]byte("data"), 0}, "odd hole": {[]byte("data"), 70001}, "zeros": {make([]byte, 9000), 5},
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, c.text, 0o755))
		must(t, os.Truncate(path, int64(len(c.text))+c.hole))
		want := fmt.Sprintf("%x true", sha256.Sum256(append(bytes.Clone(c.text), make([]byte, c.hole)...)))
		copied, err := CopyFile(t.Context(), os.OpenFile, path, path+" copy", Ourselves)
		if err != nil || copied != want {
			t.Errorf("%s: copied %s, %v, want %s", name, copied, err, want)
		}
		f, err := os.Open(path + " copy")
		must(t, err)
		if got, err := contentHash(t.Context(), f, nil); err != nil || got != want {
			t.Errorf("%s: the copy reads as %s, %v, want %s", name, got, err, want)
		}
		must(t, f.Close())
	}
}
