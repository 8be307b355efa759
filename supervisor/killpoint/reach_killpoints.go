//go:build killpoints

package killpoint

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The environment of a test. Moments is the file to which each moment is appended as a line "WHEN
// WHAT#TIMES", TIMES counted from 1 by each process. DieAt is the one of these lines at which the
// process kills itself with SIGKILL; "never" has it stop itself with SIGSTOP at each instead, until
// somebody continues it.
const (
	momentsKey = "MEDCTRL_TEST_MOMENTS"
	dieAtKey   = "MEDCTRL_TEST_DIE_AT"
)

// reached counts how often this process came by each moment. Moments are reached from everywhere,
// so there is nobody to hand it to; programs for users have no such variable.
var reached = struct {
	sync.Mutex
	times map[string]int
}{times: map[string]int{}}

// Reach marks a moment before or after something at which the supervisor may be killed: what is a
// string, or a value that is known by the name of its type.
func Reach(when string, what any) {
	reached.Lock()
	defer reached.Unlock() // so the lines are in the order of the moments
	moment := when + " " + nameOf(what)
	reached.times[moment]++
	moment = fmt.Sprintf("%s#%d", moment, reached.times[moment])
	if err := note(moment); err != nil {
		panic(err) // a test without its moments would pass for the wrong reason
	}
	switch os.Getenv(dieAtKey) {
	case moment:
		signal(syscall.SIGKILL)
	case "never":
		signal(syscall.SIGSTOP)
	}
}

// nameOf returns what, or the name of its type without that of its package.
func nameOf(what any) string {
	if name, ok := what.(string); ok {
		return name
	}
	name := fmt.Sprintf("%T", what)
	return name[strings.LastIndexByte(name, '.')+1:]
}

func note(moment string) error {
	f, err := os.OpenFile(os.Getenv(momentsKey), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(f, moment); err != nil {
		f.Close() // the first error counts
		return err
	}
	return f.Close()
}

// signal sends sig to this very thread, which takes it before it returns from the call. One for the
// process would go to any thread, and ours would go on for a moment (signal(7)).
func signal(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), sig); err != nil {
		panic(err)
	}
}
