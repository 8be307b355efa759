package sandbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// around is what every policy gives of "/" and "/dev". Whether it is still so takes two looks at these
// folders, in the place of sixteen at what is in them.
type around struct {
	given  []given
	listed []listing
	epoch  int  // of what is mounted
	links  bool // one of the places is a link, which may lead elsewhere with neither folder changed
}

// lookAround looks at all of it.
func lookAround() []given {
	s := scene{given: make([]given, 0, 32)}
	for _, path := range devices {
		s.give(device, false, place{path: path})
	}
	s.give(write, false, place{"/dev/shm", true})
	for _, dir := range system {
		if filepath.Dir(dir) == "/" {
			s.give(read, true, place{dir, true})
		}
	}
	for _, dir := range merged {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() {
			s.give(read, false, place{dir, true})
		}
	}
	return s.given
}

// around returns what lookAround would find.
func (s *Spares) around() []given {
	s.mu.Lock()
	defer s.mu.Unlock()
	epoch := s.mounted()
	if s.known.given == nil || s.known.links || s.mounts < 0 || s.known.epoch != epoch || !s.settled(s.known.listed) {
		listed := []listing{listingOf("/"), listingOf("/dev")} // first: what changes from here on is seen
		s.known = around{given: lookAround(), listed: listed, epoch: epoch}
		s.known.links = slices.ContainsFunc(s.known.given, func(g given) bool {
			info, err := os.Lstat(g.path)
			return err == nil && info.Mode()&fs.ModeSymlink != 0
		})
	}
	return s.known.given
}
