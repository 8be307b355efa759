package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	access "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// scene is all that a ruleset depends on, but for what is of one start alone. Two that are equal make
// rulesets that give the same, as long as the folders that were looked into are as they were.
type scene struct {
	config        landlock.Config
	connect, bind []uint16
	given         []given
	private       []string
}

// given is a place with what may be done there.
type given struct {
	place
	file    inode
	rights  landlock.AccessFSSet
	private bool // but for what is private
}

// inode is what a rule is about: not a path. It is zero where there is nothing. A ruleset holds on to
// its inodes, so that no other can have the number of one.
type inode struct{ dev, ino uint64 }

func (s *scene) give(rights landlock.AccessFSSet, private bool, places ...place) {
	for _, at := range places {
		g := given{place: at, rights: rights, private: private}
		var stat unix.Stat_t
		if unix.Stat(at.path, &stat) == nil { // else it is not there
			g.file = inode{uint64(stat.Dev), stat.Ino}
		}
		s.given = append(s.given, g)
	}
}

func (s scene) equal(other scene) bool {
	return s.config == other.config && slices.Equal(s.connect, other.connect) && slices.Equal(s.bind, other.bind) &&
		slices.Equal(s.given, other.given) && slices.Equal(s.private, other.private)
}

// ruleset makes the ruleset, and says which folders it was made from by what is in them.
func (s scene) ruleset() (*os.File, []listing, error) {
	r := rules{handled: s.config.HandledAccessFS}
	var listed []listing
	for _, g := range s.given {
		if g.private {
			r.add(g.rights, g.without(s.private, &listed)...)
		} else {
			r.add(g.rights, g.place)
		}
	}
	var ports []landlock.Rule
	for _, port := range s.connect {
		ports = append(ports, landlock.ConnectTCP(port))
	}
	for _, port := range s.bind {
		ports = append(ports, landlock.BindTCP(port))
	}
	fd, _, err := s.config.NewRulesetFD(ports...)
	if err != nil {
		return nil, nil, fmt.Errorf("make a Landlock ruleset: %w", err)
	}
	if fd < 0 {
		return nil, nil, errors.New("make a Landlock ruleset: there is nothing to confine")
	}
	ruleset := os.NewFile(uintptr(fd), "landlock ruleset")
	for _, one := range r.all {
		if err := one.addTo(ruleset); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, nil, errors.Join(fmt.Errorf("make a Landlock ruleset: %w", err), ruleset.Close())
		}
	}
	return ruleset, listed, nil
}

// rules collects the rules of files.
type rules struct {
	handled landlock.AccessFSSet
	all     []rule
}

// rule is what may be done with a file, or with all that is in a folder.
type rule struct {
	rights landlock.AccessFSSet
	path   string
}

// add gives rights to places.
func (r *rules) add(rights landlock.AccessFSSet, places ...place) {
	for _, at := range places {
		granted := rights & r.handled
		if !at.dir {
			granted &= writeFile | access.AccessFSIoctlDev
		}
		r.all = append(r.all, rule{granted, at.path})
	}
}

func (r rule) addTo(ruleset *os.File) error {
	fd, err := unix.Open(r.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", r.path, err)
	}
	defer unix.Close(fd) // nothing was written through it
	beneath := access.PathBeneathAttr{ParentFd: fd, AllowedAccess: uint64(r.rights)}
	if err := access.LandlockAddPathBeneathRule(int(ruleset.Fd()), &beneath, 0); err != nil {
		return fmt.Errorf("give %s: %w", r.path, err)
	}
	return nil
}

// listing is a folder whose entries a ruleset was made of, as it was. What is done to its entries
// changes its times.
type listing struct {
	path             string
	inode            inode
	changed, touched unix.Timespec
}

func listingOf(path string) listing {
	l := listing{path: path}
	var stat unix.Stat_t
	if unix.Stat(path, &stat) == nil { // else it is not there
		l.inode = inode{uint64(stat.Dev), stat.Ino}
		l.changed, l.touched = stat.Mtim, stat.Ctim
	}
	return l
}

// coarse is longer than two changes of a folder can lie apart that its times do not tell apart, on any
// file system.
const coarse = 3 * time.Second

// settled says that the folder is as it was, and that a change of it would be seen.
func (l listing) settled(now time.Time) bool {
	return now.Sub(time.Unix(l.touched.Unix())) > coarse && l == listingOf(l.path)
}
