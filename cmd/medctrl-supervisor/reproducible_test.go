package main

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The second build begins with nothing: another folder, another cache.
func TestBuildsAreEqualByteForByte(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program with all of the standard library that it uses: make lint does")
	}
	t.Parallel()
	module, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var sums [2][sha256.Size]byte
	var size int
	for i := range sums {
		dir := filepath.Join(t.TempDir(), "source")
		copySource(t, module, dir)
		cmd := exec.Command("make", "build-binary", "binary=out", "version=v0")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
		if i > 0 {
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i], size = sha256.Sum256(text), len(text)
		for _, where := range []string{dir, module} {
			if strings.Contains(string(text), where) {
				t.Errorf("the binary names the folder it was built in, %s", where)
			}
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of the same source differ: %x and %x", sums[0], sums[1])
	}
	if size == 0 {
		t.Error("the binary is empty")
	}
}

// copySource copies what the program is built of.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"cmd", "supervisor", "build", "config", "go.mod", "go.sum", "Makefile"} {
		info, err := os.Stat(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			err = os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name)))
		} else {
			var text []byte
			if text, err = os.ReadFile(filepath.Join(from, name)); err == nil {
				err = os.WriteFile(filepath.Join(to, name), text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
