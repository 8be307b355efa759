package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stat is what we use of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	pid, ppid, pgrp, session int
	state                    byte
	kernel                   bool   // a kernel thread
	threads                  int    // live threads
	start                    uint64 // clock ticks after boot; with the pid, the process's identity
	envStart                 uint64 // address of the environment, new with every exec; 0 where we may not know
}

// dead reports whether nothing of the process runs any more: a zombie is dead, unless only its
// first thread ended.
func (s stat) dead() bool {
	return s.state == 'X' || s.state == 'Z' && s.threads <= 1
}

const kernelThread = 0x00200000 // PF_KTHREAD, include/linux/sched.h

// parseStat reads a line of /proc/PID/stat. The second field, the name, may hold anything, spaces
// and parentheses included: the last parenthesis ends it.
func parseStat(line []byte) (stat, error) {
	bad := func(why string) (stat, error) {
		return stat{}, fmt.Errorf("read process status %.40q: %s", line, why)
	}
	open := bytes.IndexByte(line, '(')
	end := bytes.LastIndexByte(line, ')')
	if open < 1 || end < open || end+2 > len(line) {
		return bad("no name in parentheses")
	}
	var s stat
	pid, ok := number(bytes.TrimSpace(line[:open]))
	if !ok || pid == 0 || pid > maxPid {
		return bad("no pid")
	}
	s.pid = int(pid)
	rest := line[end+1:]
	for field := 3; field <= 50; field++ {
		rest = bytes.TrimLeft(rest, " ")
		word := rest
		if i := bytes.IndexAny(rest, " \n"); i >= 0 {
			word, rest = rest[:i], rest[i:]
		} else {
			rest = nil
		}
		if len(word) == 0 {
			if field <= 22 {
				return bad("field " + strconv.Itoa(field) + " is missing")
			}
			break // before Linux 3.5 there was no field 50
		}
		switch field {
		case 3:
			if s.state = word[0]; len(word) != 1 || s.state < 'A' || s.state > 'z' {
				return bad("field 3 is no state")
			}
		case 4, 5, 6: // parent, group, session; 0 where it is outside of our pid namespace
			n, ok := number(word)
			if !ok || n > maxPid {
				return bad("field " + strconv.Itoa(field) + " is no pid")
			}
			*[]*int{&s.ppid, &s.pgrp, &s.session}[field-4] = int(n) //nolint:gosec // field is 4, 5 or 6
		case 9:
			n, _ := number(word)
			s.kernel = n&kernelThread != 0
		case 20:
			n, ok := number(word)
			if !ok || n > maxPid {
				return bad("field 20 is no number of threads")
			}
			s.threads = int(n)
		case 22:
			if s.start, ok = number(word); !ok {
				return bad("field 22 is no start time")
			}
		case 50:
			s.envStart, _ = number(word)
		}
	}
	return s, nil
}

// maxPid is the kernel's own upper bound (PID_MAX_LIMIT), with room.
const maxPid = 1 << 30

// number parses decimal digits without making garbage.
func number(word []byte) (n uint64, ok bool) {
	if len(word) == 0 || len(word) > 20 {
		return 0, false
	}
	for _, c := range word {
		if c < '0' || c > '9' || n > (1<<64-1-uint64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// findTag finds the first tag (Spec.tag) in an environment block as in /proc/PID/environ, whose
// entries end with NUL. whole is false where the entry may go on beyond the block.
func findTag(environ []byte) (tag []byte, found, whole bool) {
	for len(environ) > 0 {
		entry, rest, ended := bytes.Cut(environ, []byte{0})
		if mark, ok := bytes.CutPrefix(entry, []byte(MarkKey+"=")); ok {
			return mark, true, ended
		}
		if bytes.HasPrefix(entry, []byte(taskPrefix)) {
			return entry, true, ended
		}
		environ = rest
	}
	return nil, false, false
}

// StartTime returns the time a process started at, in clock ticks after boot (field 22 of
// /proc/PID/stat, proc_pid_stat(5)). With the pid and the BootID it identifies a process for good.
// The error wraps fs.ErrNotExist where there is no such process.
func StartTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// Dead reports whether there is no such process, or a zombie of it.
func Dead(pid int) bool {
	s, err := readStat(pid)
	return errors.Is(err, os.ErrNotExist) || err == nil && s.dead()
}

func readStat(pid int) (stat, error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, unix.ESRCH) { // it went between open and read
		err = fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	if err != nil {
		return stat{}, err
	}
	return parseStat(line)
}

// BootID returns the random id that the kernel took at boot (/proc/sys/kernel/random/boot_id,
// random(4)).
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
