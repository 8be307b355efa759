package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pool is a main process that lets its worker finish when it is asked to end, as celery's does. The worker
// drops what it is at when it gets a signal itself.
const pool = `
	trap 'echo asked >> said' USR1
	sh -c 'trap "echo dropped >> said; exit 1" USR1 TERM HUP; i=0; while [ $i -lt 20 ]; do sleep 0.02; i=$((i+1)); done; echo finished >> said' &
	worker=$!
	echo $$ >> pids
	while kill -0 $worker 2>/dev/null; do wait $worker; done
	echo over >> said`

func said(t *testing.T, s Spec) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "said"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

func TestChildWithAStopSignalIsAskedAloneAndOnce(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		try := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		adopt := func(k kid, asked bool) {
			left := tb.Remains(k.Pid(), k.StartTime(), k.tag, os.Geteuid())
			left.SetStopSignal(unix.SIGUSR1, asked)
			try(left.Ask())
			try(left.End(t.Context(), 20*time.Second))
		}
		for name, ask := range map[string]func(k kid){
			"by End":                          func(kid) {},
			"by Ask and End":                  func(k kid) { try(k.Ask()); try(k.Ask()) },
			"after it was adopted":            func(k kid) { adopt(k, false) },
			"before and after it was adopted": func(k kid) { try(k.Ask()); adopt(k, true) },
		} {
			s := sh(t, pool)
			s.StopSignal = unix.SIGUSR1
			k := spawn(t, tb, s)
			pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
			ask(k)
			k.end(20 * time.Second)
			if got := said(t, s); got != "asked finished over" {
				t.Errorf("%s: they said %q", name, got)
			}
		}
	})
}

func TestRestOfATreeIsAskedWhenTheChildThatWasAskedAloneHasEnded(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `sh -c 'trap "echo told >> said; exit 0" USR1; echo $$ >> pids; while :; do sleep 0.02; done' & echo $$ >> pids; trap 'exit 0' USR1; wait; wait`)
		s.StopSignal = unix.SIGUSR1
		k := spawn(t, tb, s)
		pidsIn(t, filepath.Join(s.Dir, "pids"), 2)
		begun := time.Now()
		k.end(20 * time.Second)
		if got := said(t, s); got != "told" || time.Since(begun) > 10*time.Second {
			t.Errorf("after %v the rest said %q", time.Since(begun), got)
		}
	})
}

func TestChildThatIsAskedAloneAndDoesNotEndIsKilledInTime(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `trap '' USR1; sleep 1000 & echo $$ >> pids; wait; wait`)
		s.StopSignal = unix.SIGUSR1
		k := spawn(t, tb, s)
		pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
		k.end(50 * time.Millisecond)
		if e, ok := k.Exited(); !ok || e.Signal != unix.SIGKILL {
			t.Errorf("exit is %v %v, want a kill", e, ok)
		}
	})
}
