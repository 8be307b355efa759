//go:build killpoints

package supervisor

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

var moments = struct {
	sync.Mutex
	times map[string]int
}{times: map[string]int{}}

// reach writes each moment as a line "MOMENT#TIMES" to the file
// MEDCTRL_TEST_MOMENTS, and kills this process with -9 at the one that
// MEDCTRL_TEST_DIE_AT names. Where that is "never", it stops it at each, until
// somebody continues it.
func reach(when string, what any) {
	name, ok := what.(string)
	if !ok {
		name = strings.TrimPrefix(fmt.Sprintf("%T", what), "machine.")
	}
	moments.Lock()
	defer moments.Unlock()
	moment := when + " " + name
	moments.times[moment]++
	moment = fmt.Sprintf("%s#%d", moment, moments.times[moment])
	f, err := os.OpenFile(os.Getenv("MEDCTRL_TEST_MOMENTS"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, moment)
		f.Close()
	}
	if err != nil {
		panic(err)
	}
	end := syscall.SIGKILL
	switch os.Getenv("MEDCTRL_TEST_DIE_AT") {
	case moment:
	case "never":
		end = syscall.SIGSTOP
	default:
		return
	}
	if err := syscall.Kill(os.Getpid(), end); err != nil {
		panic(err)
	}
	if end == syscall.SIGKILL {
		select {} // it takes a moment
	}
}
