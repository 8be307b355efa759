package watch

import (
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestFilesThatMatchAreToldAsTheyComeChangeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := watch(t, s, Target{ID: "", Globs: []string{s.path("[more].d/*.toml")}}, Target{ID: "other", Files: []string{s.path("other")}})
	v.must(os.Mkdir(s.path("[more].d"), 0o755))
	v.tells("")
	s.write("[more].d/a.toml", "1")
	v.tells("")
	s.write("[more].d/a.toml", "2")
	v.tells("")
	s.write("real/b", "1")
	v.must(os.Symlink("../real/b", s.path("[more].d/b.toml")))
	v.tells("")
	s.write("real/b", "2")
	v.tells("")
	s.write("[more].d/README", "")
	s.write("[more].d/a.toml~", "")
	s.write("[more].d/.#a.toml", "")
	v.silent("other")
	v.must(os.Remove(s.path("[more].d/a.toml")))
	v.tells("")
	v.must(os.Rename(s.path("[more].d"), s.path("less.d")))
	v.tells("")
	v.must(os.Rename(s.path("less.d"), s.path("[more].d")))
	v.tells("")
	s.write("[more].d/c.toml", "")
	v.tells("")
}

func TestFilesThatMatchAreLookedAtWithoutInotify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("[more].d/a.toml", "1")
	synctest.Test(t, func(t *testing.T) {
		w := newWatcher(hclog.NewNullLogger(), ways{})
		w.Set([]Target{{ID: "one", Globs: []string{s.path("[more].d/*.toml")}}})
		if got := <-w.C(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("first told is %q", got)
		}
		for _, edit := range []func() error{
			func() error { return os.WriteFile(s.path("[more].d/b.toml"), nil, 0o644) },
			func() error { return os.WriteFile(s.path("[more].d/a.toml"), []byte("longer"), 0o644) },
			func() error { return os.Remove(s.path("[more].d/a.toml")) },
		} {
			if err := edit(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if got := <-w.C(); !slices.Equal(got, []string{"one"}) || time.Since(begun) > pollEvery+quiet {
				t.Errorf("told is %q after %v", got, time.Since(begun))
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}
