package config

import (
	"os"
	"testing"
)

func TestWhatKeepsAUserOutIsFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := s.write("a/b/program", "")
	if err := os.Symlink("a/b/program", s.path("relative")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.path("a"), s.path("absolute")); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	stranger := Identity{UID: uid + 4711, GID: gid + 4711}
	member := Identity{UID: uid + 4711, GID: gid + 4711, Groups: []uint32{uint32(gid)}}
	for _, c := range []struct {
		folder, file os.FileMode
		path         string
		id           Identity
		want         Right
		at           string
	}{
		{0o755, 0o755, file, stranger, Execute, ""},
		{0o755, 0o700, file, stranger, Execute, file},
		{0o700, 0o755, file, stranger, Execute, s.path("a")},
		{0o700, 0o755, s.path("relative"), stranger, Execute, s.path("a")},
		{0o700, 0o755, s.path("absolute/b/program"), stranger, Execute, s.path("a")},
		{0o750, 0o750, file, member, Execute, ""},
		{0o750, 0o755, file, stranger, Execute, s.path("a")},
		{0o755, 0o705, file, member, Execute, file}, // the group's bits count, though others have more
		{0o755, 0o640, file, member, Read, ""},
		{0o755, 0o640, file, member, Read | Write, file},
		{0o755, 0o600, file, Identity{UID: -1, GID: -1}, Read | Write, ""},
		{0o755, 0o600, file, Identity{UID: 0, GID: 0}, Execute, file},
		{0o700, 0o600, file, Identity{UID: 0, GID: 0}, Read, ""},
		{0o755, 0o755, s.path("a/missing"), stranger, Execute, ""},
	} {
		if err := os.Chmod(s.path("a"), c.folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.file); err != nil {
			t.Fatal(err)
		}
		if at := Denied(c.path, c.id, c.want); at != c.at {
			t.Errorf("folder %o, file %o: %s keeps %+v from right %d to %s, want %q", c.folder, c.file, at, c.id, c.want, c.path, c.at)
		}
	}
}
