package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The name of a file in the source is no option of what compiles it, as ourselves.
func TestFileThatIsNamedLikeAnOptionCompilesNothingElse(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.compiles(t)
	outside := filepath.Join(filepath.Dir(p.root), "outside")
	must(t, os.MkdirAll(outside, 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "module.py"), []byte("A = 1\n"), 0o644))
	list := filepath.Join(filepath.Dir(p.root), "list.py")
	must(t, os.WriteFile(list, []byte(outside+"\n"), 0o644))
	p.write(t, "API/-i"+list, "A = 1\n")
	rel := p.made(t)
	if exists(filepath.Join(outside, "__pycache__")) {
		t.Error("a folder outside of the release was compiled")
	}
	if !exists(filepath.Join(rel.App(p.Build), "-i", filepath.Dir(list), "__pycache__")) {
		t.Error("the file itself was not compiled")
	}
}

// Bytecode is written as ourselves, so it never goes where a link of the source's leads.
func TestLinkInThePlaceOfACacheOfBytecodeIsLeftOut(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.compiles(t)
	shared := filepath.Join(filepath.Dir(p.root), "shared")
	must(t, os.MkdirAll(shared, 0o755))
	p.Sandbox.Write = []string{shared}
	must(t, os.Symlink(shared, filepath.Join(p.AppPath(), "app/__pycache__")))
	rel := p.made(t)
	if entries, err := os.ReadDir(shared); err != nil || len(entries) > 0 {
		t.Errorf("written where the link leads: %v, %v", entries, err)
	}
	if info, err := os.Lstat(filepath.Join(rel.App(p.Build), "app/__pycache__")); err != nil || !info.IsDir() {
		t.Errorf("the cache of the release: %v, %v", info, err)
	}
}

// An interpreter says itself what its path is. One of the build's user may name any program.
func TestProgramThatTheBuildsUserNamesIsNotRunAsUs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		theirs bool // the interpreter that the file names
		inRoot bool // the program that it says it is
		base   string
		want   string
	}{
		"by an interpreter of theirs": {theirs: true, base: "python3", want: "can change"},
		"that is no Python":           {base: "make", want: "not named like a Python"},
		"that a package has left":     {inRoot: true, base: "python3", want: "lies in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.runAsNobody(t)
			dir := filepath.Dir(p.root)
			ran, program := filepath.Join(dir, "ran"), filepath.Join(dir, c.base)
			if c.inRoot {
				program = filepath.Join(p.root, p.Name, "venvs", "bin", c.base)
				must(t, os.MkdirAll(filepath.Dir(program), 0o755))
				must(t, os.Chmod(filepath.Join(p.root, p.Name, "venvs"), 0o755))
			}
			must(t, writeWhole(program, strings.Replace(fakePython, "\n", "\n[ $(id -u) != 0 ] || id -un >>"+ran+"\n", 1), 0o755))
			p.fakePip(t, "")
			p.write(t, "python", strings.Replace(fakePython, `"$0"`, program, 1))
			if c.theirs {
				must(t, os.Chown(p.Python, 65534, 65534))
			}
			rel := p.made(t)
			if exists(ran) {
				t.Errorf("it ran as %q", read(t, ran))
			}
			contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "not everything could be compiled", c.want)
		})
	}
}
