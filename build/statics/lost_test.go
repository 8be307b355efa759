package statics

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever somebody removes or damages of what is kept about static files, they go live.
func TestStaticFilesGoLiveWhateverIsLostOfTheirRecords(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(s *site) error{
		"record emptied": func(s *site) error { return os.Truncate(s.build.StaticRecord(), 0) },
		"record removed": func(s *site) error { return os.Remove(s.build.StaticRecord()) },
		"list emptied":   func(s *site) error { return os.Truncate(s.build.Release("2").StaticList(), 0) },
		"list removed":   func(s *site) error { return os.Remove(s.build.Release("2").StaticList()) },
	} {
		s := newSite(t)
		s.release(t, "1", first)
		s.publish(t, "1")
		s.release(t, "2", second)
		must(t, spoil(s))
		s.publish(t, "2")
		got := tree(t, s.root)
		for path, text := range second {
			if got[path] != text {
				t.Errorf("%s: %s holds %q", what, path, got[path])
			}
		}
		if Published(s.build) != s.root {
			t.Errorf("%s: the record is of %q", what, Published(s.build))
		}
	}
}

func TestStaticFilesGoLiveWhereALinkLeadsToAFolderThatIsMissing(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"elsewhere/static", "../elsewhere"} {
		s := newSite(t)
		s.release(t, "1", first)
		must(t, os.Symlink(to, s.root))
		must(t, Usable(s.root, s.as))
		s.publish(t, "1")
		s.holds(t, first)
		if _, err := os.Readlink(s.root); err != nil {
			t.Errorf("the link to %s is gone: %v", to, err)
		}
	}
}

// Between Stage and Publish somebody takes STATIC_ROOT away or puts something else there.
func TestStaticFilesGoLiveWhateverHappensToThePreparedFolder(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(s *site) error{
		"removed":         func(s *site) error { return os.RemoveAll(s.root) },
		"renamed":         func(s *site) error { return os.Rename(s.root, s.root+".old") },
		"prepared folder": func(s *site) error { return os.RemoveAll(filepath.Join(filepath.Dir(s.root), ".static"+nextSuffix)) },
		"replaced by a link": func(s *site) error {
			if err := os.Rename(s.root, s.root+".old"); err != nil {
				return err
			}
			return os.Symlink("static.old", s.root)
		},
		"replaced by another folder": func(s *site) error {
			if err := os.RemoveAll(s.root); err != nil {
				return err
			}
			return os.Mkdir(s.root, 0o755)
		},
	} {
		for way, prepare := range ways {
			s := newSite(t)
			s.release(t, "1", first)
			s.publish(t, "1")
			prepare(t, s)
			s.release(t, "2", second)
			must(t, s.p.Stage(t.Context(), s.request("2")))
			must(t, spoil(s))
			if err := s.p.Publish(t.Context(), s.request("2")); err != nil {
				t.Errorf("%s, %s: %v", what, way, err)
				continue
			}
			got := tree(t, s.root+"/.")
			for path, text := range second {
				if got[path] != text {
					t.Errorf("%s, %s: %s holds %q", what, way, path, got[path])
				}
			}
			if len(got) > len(both)+1 {
				t.Errorf("%s, %s: it holds %v", what, way, got)
			}
		}
	}
}
