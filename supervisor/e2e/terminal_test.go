package e2e

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveAtTerminal starts the supervisor of a tiny build at a terminal of its own, as a person does, and
// returns the person's side of it.
func serveAtTerminal(t *testing.T) (w *World, person *os.File) {
	t.Helper()
	w = tinyWorld(t)
	person, program := openTerminal(t)
	defer program.Close()
	cmd := w.command()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGTERM}
	w.start(cmd)
	log, err := os.Create(w.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer log.Close()
		io.Copy(log, person) // ends with an error when nobody has the other side any more
	}()
	w.WaitState("one", "running")
	return w, person
}

func press(t *testing.T, person *os.File, key byte) {
	t.Helper()
	if _, err := person.Write([]byte{key}); err != nil {
		t.Fatal(err)
	}
}

// Ctrl-S: nothing that is written to the terminal is written before Ctrl-Q.
func TestTerminalThatStandsStillStopsNothing(t *testing.T) {
	t.Parallel()
	w, person := serveAtTerminal(t)
	press(t, person, 'S'&0x1f)
	for range 2 {
		pid := w.KillTree("one", syscall.SIGKILL)
		w.WaitPid("one", pid)
	}
	Eventually(t, patience, "the trouble with the log in status", func() (bool, string) {
		out, _, _ := w.CLI("status")
		return strings.Contains(out, "nobody has read the log"), out
	})
	w.Upgrade() // what stands still goes over
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))
	press(t, person, 'Q'&0x1f)
	w.WaitLog("generation is serving again")
	press(t, person, 'S'&0x1f)
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))
	w.Signal(syscall.SIGTERM)
	if code := w.WaitEnd(20 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// Ctrl-\ is the second form of SIGTERM: nothing is left behind in a terminal.
func TestQuitAtItsTerminalLeavesNothing(t *testing.T) {
	t.Parallel()
	w, person := serveAtTerminal(t)
	press(t, person, '\\'&0x1f)
	if code := w.WaitEnd(20 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if left := w.Processes(); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	w.WaitLog("supervisor has stopped")
}

// The window is closed, the connection lost.
func TestEndOfItsTerminalDisturbsNobody(t *testing.T) {
	t.Parallel()
	w, person := serveAtTerminal(t)
	pid := w.WaitState("one", "running").Pid
	if err := person.Close(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, patience, "the trouble with the log in status", func() (bool, string) {
		out, _, code := w.CLI("status")
		return code == 0 && strings.Contains(out, "the log cannot be written"), out
	})
	if now := w.WaitState("one", "running").Pid; now != pid {
		t.Errorf("pid %d serves, want %d", now, pid)
	}
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))
	w.Stop()
}
