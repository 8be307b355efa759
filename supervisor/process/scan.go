package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Found is a process that carries a mark.
type Found struct {
	Pid       int
	StartTime uint64 // clock ticks after boot
	Group     int    // its process group; of a child of ours the leader's pid
	Mark      string
	User      int    // who runs it, by number; -1 where that is not one user
	Cgroup    string // the mark whose cgroup it is in (UseCgroups), or ""
}

// FindMarked returns the live processes whose environment holds a mark with that prefix, in no
// order. A mark is a claim: anybody can put one into an environment. Who runs the process is no
// claim, nor is the cgroup that it is in: only we, or the user that we run as, can put it there.
// Zombies are dead. Processes whose environment we may not read are left out
// (proc_pid_environ(5)). It reads all of /proc: for start-up, not for a loop.
func (t *Table) FindMarked(prefix string) ([]Found, error) {
	snap, err := t.scans.fresh(context.Background())
	if err != nil {
		return nil, fmt.Errorf("find what carries a mark: %w", err)
	}
	var found []Found
	inside := t.cgroups.members()
	for _, p := range snap.procs {
		if p.tag != "" && strings.HasPrefix(p.tag, prefix) && !strings.HasPrefix(p.tag, taskPrefix) && !p.dead() {
			found = append(found, Found{Pid: p.pid, StartTime: p.start, Group: p.pgrp, Mark: p.tag, User: p.uid, Cgroup: inside[p.pid]})
		}
	}
	return found, nil
}

// proc is one process of a snapshot.
type proc struct {
	stat
	tag    string // what it carries, see Spec.tag
	cookie uint64 // the same for one that carries no tag, see cookieOf; 0: none
	uid    int    // who runs it, where it has one of the two
}

// snapshot is the process table at one moment, with the indexes that trees are found by. It is
// shared and never changed.
type snapshot struct {
	procs                               []proc
	byGroup, bySession, byParent, byPid map[int][]int
	byTag                               map[string][]int
	byCookie                            map[uint64][]int
}

func newSnapshot(procs []proc) *snapshot {
	s := &snapshot{
		procs:   procs,
		byGroup: make(map[int][]int), bySession: make(map[int][]int),
		byParent: make(map[int][]int), byPid: make(map[int][]int, len(procs)),
		byTag: make(map[string][]int), byCookie: make(map[uint64][]int),
	}
	for i, p := range procs {
		s.byPid[p.pid] = append(s.byPid[p.pid], i)
		s.byGroup[p.pgrp] = append(s.byGroup[p.pgrp], i)
		s.bySession[p.session] = append(s.bySession[p.session], i)
		s.byParent[p.ppid] = append(s.byParent[p.ppid], i)
		if p.tag != "" {
			s.byTag[p.tag] = append(s.byTag[p.tag], i)
		}
		if p.cookie != 0 {
			s.byCookie[p.cookie] = append(s.byCookie[p.cookie], i)
		}
	}
	return s
}

// tree returns the members of the group and session of leader (0 for none of them), every process
// that rightly says it is of c, is known or is one of pids, and all their descendants; zombies too,
// but not self.
func (s *snapshot) tree(c *Child, leader, self int, known map[procID]bool, pids ...int) []proc {
	var members []proc
	in := make(map[int]bool)
	for _, i := range s.byPid[self] {
		in[i] = true
	}
	var queue []int
	add := func(indexes []int) {
		for _, i := range indexes {
			if !in[i] {
				in[i] = true
				queue = append(queue, i)
			}
		}
	}
	if leader > 1 {
		add(s.byPid[leader])
		add(s.byGroup[leader])
		add(s.bySession[leader])
	}
	if c.tag != "" {
		for _, i := range slices.Concat(s.byTag[c.tag], s.byCookie[cookieOf(c.tag)]) {
			if !c.owns(s.procs[i]) {
				continue
			}
			add([]int{i})
			// A session that began with the mark is the tree's; one that somebody only brought it
			// into, by copying an environment into a shell, is not.
			if p := s.procs[i]; p.session == p.pid {
				add(s.bySession[p.pid])
			}
		}
	}
	for _, pid := range pids {
		add(s.byPid[pid])
	}
	for id := range known {
		for _, i := range s.byPid[id.pid] {
			if s.procs[i].start == id.start {
				add([]int{i})
			}
		}
	}
	for len(queue) > 0 {
		p := s.procs[queue[0]]
		queue = queue[1:]
		members = append(members, p)
		add(s.byParent[p.pid])
	}
	return members
}

// image of a process: an exec changes it, so that what was read of its environment holds as long as
// it is the same.
type procImage struct {
	pid             int
	start, envStart uint64
}

// procReader reads the process table. It remembers the tags of the processes that it has seen, so
// that each environment is read once. Its zero value is ready.
type procReader struct {
	tags map[procImage]carried
	buf  []byte
}

// carried is what a process says of itself, and who runs it where it says anything. A process of
// ours has its user before it has an environment of ours.
type carried struct {
	tag    string
	cookie uint64
	uid    int
}

func (r *procReader) read() (*snapshot, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	if r.buf == nil {
		r.buf = make([]byte, 4096)
	}
	tags := make(map[procImage]carried, len(r.tags))
	procs := make([]proc, 0, len(r.tags)+16)
	var inExec []int // of procs
	note := func(i int, has carried, known bool) {
		p := &procs[i]
		p.tag, p.cookie, p.uid = has.tag, has.cookie, has.uid
		if known && p.envStart != 0 {
			tags[procImage{p.pid, p.start, p.envStart}] = has
		}
	}
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		line, err := r.slurp(int(dir.Fd()), name+"/stat", nil)
		if err != nil {
			continue // gone meanwhile, or not ours to see (hidepid)
		}
		s, err := parseStat(line)
		if err != nil || s.kernel {
			continue
		}
		procs = append(procs, proc{stat: s})
		has, known := r.tags[procImage{s.pid, s.start, s.envStart}]
		if !known && !s.dead() {
			var busy bool
			if has, known, busy = r.carried(int(dir.Fd()), name, s); busy {
				inExec = append(inExec, len(procs)-1)
			}
		}
		note(len(procs)-1, has, known)
	}
	untilExecuted(inExec, func(i int) bool {
		name := strconv.Itoa(procs[i].pid)
		line, err := r.slurp(int(dir.Fd()), name+"/stat", nil)
		if err != nil {
			return true // gone
		}
		s, err := parseStat(line)
		if err != nil || s.dead() || s.start != procs[i].start {
			return true
		}
		has, known, busy := r.carried(int(dir.Fd()), name, s)
		if !busy {
			procs[i].stat = s
			note(i, has, known)
		}
		return !busy
	})
	r.tags = tags
	if len(r.buf) > 256<<10 { // someone's environment was huge
		r.buf = nil
	}
	return newSnapshot(procs), nil
}

// carried reads what a process carries, of which s was read before; known is false where it may be
// other next time, inExec true where it is in the middle of an exec. The cookie is read of those alone
// whose parent has ended: any other is found by that, unless it carries a tag.
func (r *procReader) carried(proc int, name string, s stat) (has carried, known, inExec bool) {
	has.tag, known, inExec = r.tag(proc, name, s)
	if has.tag == "" && (s.ppid == 1 || s.ppid == os.Getpid()) {
		if limits, err := r.slurp(proc, name+"/limits", nil); err == nil {
			has.cookie = cookieIn(limits)
		}
	}
	if has.tag != "" || has.cookie != 0 {
		status, err := r.slurp(proc, name+"/status", nil)
		if has.uid = nobodys; err == nil {
			has.uid = uidIn(status)
		}
	}
	return has, known, inExec
}

// A process in the middle of an exec has no environment yet, or none any more.
const (
	execLimit = 100 * time.Millisecond
	execPoll  = 200 * time.Microsecond
)

// untilExecuted waits for processes in the middle of an exec: the one that is missed then may be one
// that a supervisor had just started when it was killed. It waits for all of them at once, as
// anybody can have many that hang in one.
func untilExecuted(inExec []int, executed func(i int) bool) {
	for limit := time.Now().Add(execLimit); len(inExec) > 0 && time.Now().Before(limit); {
		time.Sleep(execPoll) // there is no event to wait for
		inExec = slices.DeleteFunc(inExec, executed)
	}
}

// tag reads a process's tag. Its results are as with carried.
func (r *procReader) tag(proc int, name string, s stat) (tag string, known, inExec bool) {
	environ, err := r.slurp(proc, name+"/environ", func(block []byte) bool {
		_, found, whole := findTag(block)
		return found && whole
	})
	if err != nil { // no right to read it, or gone
		return "", false, false
	}
	if len(environ) > 0 {
		m, _, _ := findTag(environ)
		return string(m), true, false
	}
	line, err := r.slurp(proc, name+"/stat", nil)
	if err != nil {
		return "", false, false
	}
	now, err := parseStat(line)
	empty := now.envStart != 0 && now.envStart == s.envStart // it has an environment without an entry
	return "", false, err == nil && !now.dead() && !empty
}

// slurp reads a small file of /proc until its end or until enough says so. What it returns holds
// until the next call.
func (r *procReader) slurp(dir int, name string, enough func([]byte) bool) ([]byte, error) {
	const limit = 8 << 20 // above the largest environment that the kernel takes (execve(2))
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		m, err := unix.Read(fd, r.buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		n += m
		if m == 0 || enough != nil && enough(r.buf[:n]) || n >= limit {
			return r.buf[:n], nil
		}
		if n == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
	}
}

// scanner shares the reading of the process table among all who need it at the same time: with
// 1,000 trees to end at once it is read a few times, not thousands.
type scanner struct {
	mu      sync.Mutex
	next    *scan
	running bool
	closed  bool
	closing chan struct{}
	wg      sync.WaitGroup
	reads   int // how often the table was read

	reader procReader // the running goroutine's
}

type scan struct {
	done chan struct{}
	snap *snapshot
	err  error
}

var errClosed = errors.New("process table is closed")

func newScanner() *scanner { return &scanner{closing: make(chan struct{})} }

// fresh returns the process table as read after this call.
func (s *scanner) fresh(ctx context.Context) (*snapshot, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	if s.next == nil {
		s.next = &scan{done: make(chan struct{})}
	}
	mine := s.next
	if !s.running {
		s.running = true
		s.wg.Add(1)
		go s.run()
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.snap, mine.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run reads for as long as someone asks. It rests three times as long as a reading took, so that
// all of it never takes more than a quarter of one CPU, and everyone who asks meanwhile shares the
// next one.
func (s *scanner) run() {
	defer s.wg.Done()
	for {
		s.mu.Lock()
		mine := s.next
		s.next = nil
		if mine == nil || s.closed {
			s.running = false
			s.mu.Unlock()
			if mine != nil {
				mine.err = errClosed
				close(mine.done)
			}
			return
		}
		s.reads++
		s.mu.Unlock()
		began := time.Now()
		mine.snap, mine.err = s.reader.read()
		close(mine.done)
		rest := time.NewTimer(3 * time.Since(began))
		select {
		case <-rest.C:
		case <-s.closing:
			rest.Stop()
		}
	}
}

func (s *scanner) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.wg.Wait()
}
