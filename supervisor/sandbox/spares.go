package sandbox

import (
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Spares keeps rulesets that were made before they are needed: one for each build that runs in a box,
// for its next start. To make one takes a rule for each place, some hundred where root's box leaves
// out files of /etc; to see that one is still right takes a few looks. What is not right any more, in
// the least, is thrown away.
//
// It may be used by many goroutines at once.
type Spares struct {
	mu   sync.Mutex
	most int
	// of says, for each build, whose start was the last; kept are the rulesets, oldest first.
	of   map[string]string
	kept []spare
	// mounts tells of each change of what is mounted, which puts another file at a path or takes
	// the files away that a ruleset is about; -1 where that cannot be had, and then nothing is kept.
	// It is not an os.File: Go would wait for its events itself, and take them.
	mounts int
	epoch  int
	known  around
	now    func() time.Time
}

// spare is a ruleset that was made for the next start of a build.
type spare struct {
	build   string
	scene   scene
	listed  []listing
	ruleset *os.File
	epoch   int
}

// NewSpares returns Spares without any. They must be closed.
func NewSpares() *Spares {
	s := &Spares{of: map[string]string{}, now: time.Now}
	// A few of the descriptors that we may have.
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil { // else none are kept
		s.most = int(min(limit.Cur/16, 1024))
	}
	var err error
	if s.mounts, err = unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		s.mounts = -1
	}
	return s
}

// Ruleset returns the ruleset of a policy for a start of a build: the spare one, if that is right, or a
// new one. The caller closes it.
func (s *Spares) Ruleset(build string, p Policy) (*os.File, error) {
	kernel, err := Here()
	if err != nil {
		return nil, err
	}
	now := p.lookBeside(s.around(), kernel)
	ruleset := s.take(build, now)
	if ruleset == nil {
		if ruleset, _, err = now.ruleset(); err != nil {
			return nil, err
		}
	}
	return p.complete(ruleset, kernel)
}

// Expect says that a build was started, by a tree that is its owner: what is prepared from now on is
// kept until the owner has ended.
func (s *Spares) Expect(build, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[build] = owner
}

// Prepare makes a ruleset for the next start of a build, unless another owner has come or this one has
// ended.
func (s *Spares) Prepare(build, owner string, p Policy) error {
	kernel, err := Here()
	if err != nil {
		return err
	}
	s.mu.Lock()
	epoch, expected := s.mounted(), s.of[build] == owner && s.mounts >= 0 && s.most > 0
	s.mu.Unlock()
	if !expected {
		return nil
	}
	before := p.look(kernel)
	ruleset, listed, err := before.ruleset()
	if err != nil {
		return err
	}
	one := spare{build, before, listed, ruleset, epoch}
	// What was exchanged while it was made may have been taken for what was there before.
	right := p.look(kernel).equal(before) && s.settled(listed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if right = right && s.of[build] == owner; !right {
		return ruleset.Close()
	}
	s.remove(build)
	if len(s.kept) >= s.most {
		s.remove(s.kept[0].build)
	}
	s.kept = append(s.kept, one)
	return nil
}

// Ended drops what was prepared after the start of a tree, if that was the last one of its build: a
// ruleset keeps files from being freed that it is about.
func (s *Spares) Ended(build, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[build] == owner {
		delete(s.of, build)
		s.remove(build)
	}
}

// Close drops all.
func (s *Spares) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.of)
	for len(s.kept) > 0 {
		s.remove(s.kept[0].build)
	}
	if s.mounts >= 0 {
		unix.Close(s.mounts) // nothing was written
		s.mounts = -1
	}
}

// take takes the spare ruleset of a build, if it gives what a new one would.
func (s *Spares) take(build string, now scene) *os.File {
	s.mu.Lock()
	at := s.find(build)
	if at < 0 {
		s.mu.Unlock()
		return nil
	}
	one := s.kept[at]
	s.kept = slices.Delete(s.kept, at, at+1)
	current := s.mounted() == one.epoch
	s.mu.Unlock()
	if current && one.scene.equal(now) && s.settled(one.listed) {
		return one.ruleset
	}
	one.ruleset.Close() // nothing was written
	return nil
}

func (s *Spares) settled(listed []listing) bool {
	now := s.now()
	return !slices.ContainsFunc(listed, func(l listing) bool { return !l.settled(now) })
}

// mounted returns a number that is another one after each change of what is mounted
// (proc_pid_mounts(5)).
func (s *Spares) mounted() int {
	if s.mounts < 0 {
		return s.epoch
	}
	poll := []unix.PollFd{{Fd: int32(s.mounts)}} // what counts, POLLERR, is always asked for
	for {
		n, err := unix.Poll(poll, 0)
		if err == unix.EINTR {
			continue
		}
		if n != 0 { // and where it cannot be asked
			s.epoch++
		}
		return s.epoch
	}
}

func (s *Spares) find(build string) int {
	return slices.IndexFunc(s.kept, func(one spare) bool { return one.build == build })
}

func (s *Spares) remove(build string) {
	if at := s.find(build); at >= 0 {
		s.kept[at].ruleset.Close() // nothing was written
		s.kept = slices.Delete(s.kept, at, at+1)
	}
}
