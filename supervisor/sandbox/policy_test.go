package sandbox

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// files makes files and folders below a folder, whose path has no links in it.
func files(t *testing.T, names ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// opened is what is given of a folder, by paths relative to it.
func opened(t *testing.T, dir string, private ...string) (all []string) {
	t.Helper()
	for i := range private {
		private[i] = filepath.Join(dir, private[i])
	}
	for _, at := range (place{dir, true}).without(private, new([]listing)) {
		rel, err := filepath.Rel(dir, at.path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rel)
	}
	slices.Sort(all)
	return all
}

func TestAFolderIsGivenAsAWholeWhereNothingInItIsPrivate(t *testing.T) {
	t.Parallel()
	dir := files(t, "a", "b/c")
	if got := opened(t, dir); !slices.Equal(got, []string{"."}) {
		t.Errorf("%v", got)
	}
	if got := opened(t, dir, "../elsewhere"); !slices.Equal(got, []string{"."}) {
		t.Errorf("with something private elsewhere %v", got)
	}
}

func TestWhatIsPrivateIsLeftOutWithWhatLeadsToIt(t *testing.T) {
	t.Parallel()
	dir := files(t, "a", "b/c", "b/d/e", "b/d/f", "g/h")
	if err := os.Symlink("b/d/e", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got, want := opened(t, dir, "b/d/e", "g"), []string{"a", "b/c", "b/d/f"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What an entry names itself is within reach, although it lies in what is private.
func TestWhatIsNamedInAPrivateFolderIsGiven(t *testing.T) {
	t.Parallel()
	dir := files(t, "root/one/release/x", "root/two/x")
	if got := (place{filepath.Join(dir, "root/one"), true}).without([]string{filepath.Join(dir, "root")}, new([]listing)); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestOnlyWhatCouldBeReadAnywayIsTakenOutOfAFolder(t *testing.T) {
	t.Parallel()
	p := Policy{Private: []string{"/etc/medctrl/builds.toml", "/srv/medctrl"}, Readable: func(string) bool { return false }}
	if got := p.private(nil); len(got) > 0 {
		t.Errorf("%v, which nobody may read", got)
	}
	p.Readable = nil
	if got, want := p.private(nil), []string{"/etc/medctrl/builds.toml"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := p.private([]place{{"/srv", true}}); !slices.Contains(got, "/srv/medctrl") {
		t.Errorf("%v, want what lies in /srv", got)
	}
	p.AsRoot = true
	if got := p.private(nil); !slices.Contains(got, "/etc/shadow") {
		t.Errorf("as root %v", got)
	}
}

func TestEachKernelConfinesWhatItCan(t *testing.T) {
	t.Parallel()
	ports := Policy{Connect: &[]uint16{}, Bind: &[]uint16{1}}
	for abi := abiFirst; abi <= 12; abi++ {
		k := Kernel{abi}
		if got := len(k.Confines()) + len(k.Lacks()); got != len(gains) {
			t.Errorf("ABI %d confines %v and lacks %v", abi, k.Confines(), k.Lacks())
		}
		c := k.config(ports)
		if c.HandledAccessFS == 0 || (c.HandledAccessNet != 0) != k.TCP() || (c.Scoped != 0) != (abi >= abiScoped) {
			t.Errorf("ABI %d: %v", abi, c)
		}
		if k.config(Policy{}).HandledAccessNet != 0 {
			t.Errorf("ABI %d confines ports without a list", abi)
		}
		if abi >= abiScoped && !reflect.DeepEqual(c, Kernel{abiScoped}.config(ports)) {
			t.Errorf("ABI %d confines something that nothing here was tried with: %v", abi, c)
		}
	}
	if got := (Kernel{abiTCP}).Lacks(); len(got) != 2 || !strings.Contains(got[1], "Linux 6.12") {
		t.Errorf("ABI 4 lacks %v", got)
	}
}

// BenchmarkRuleset measures what the parent does for each start in a box.
func BenchmarkRuleset(b *testing.B) {
	for _, root := range []bool{false, true} {
		b.Run(map[bool]string{false: "user", true: "root"}[root], func(b *testing.B) {
			p := Policy{Read: []string{"/tmp"}, Write: []string{b.TempDir()}, AsRoot: root}
			begun := cpu(b)
			for b.Loop() {
				f, err := p.Ruleset()
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
			b.ReportMetric(float64(cpu(b)-begun)/float64(b.N)/1e3, "cpu-us/op")
		})
	}
}

// cpu is the time that this process has used of processors.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
