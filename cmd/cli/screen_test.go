package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// transcript is what was written so far, to wait on.
type transcript struct {
	t    *testing.T
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // something was written
}

func newTranscript(t *testing.T) *transcript {
	return &transcript{t: t, more: make(chan struct{}, 1)}
}

func (tr *transcript) Write(text []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.text.Write(text)
	select {
	case tr.more <- struct{}{}:
	default: // told already
	}
	return len(text), nil
}

// since returns what was written after so many bytes.
func (tr *transcript) since(at int) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return string(tr.text.Bytes()[min(at, tr.text.Len()):])
}

// await waits until what was written after so many bytes is as wanted.
func (tr *transcript) await(at int, what string, holds func(string) bool) {
	tr.t.Helper()
	for limit := time.After(60 * time.Second); !holds(tr.since(at)); {
		select {
		case <-tr.more:
		case <-limit:
			tr.t.Fatalf("waited in vain for %s: %q", what, tr.since(at))
		}
	}
}

// awaitText waits until text was written.
func (tr *transcript) awaitText(text string) {
	tr.t.Helper()
	tr.await(0, text, func(got string) bool { return strings.Contains(got, text) })
}

// terminal is a terminal with a person in front of it.
type terminal struct {
	*transcript          // what is on its screen
	person      *os.File // its keyboard
	program     *os.File // for the program that runs in it
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal can be opened: ", err)
	}
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 200, Col: 250})
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{newTranscript(t), person, program}
	var read sync.WaitGroup
	read.Go(func() {
		for text := make([]byte, 4096); ; {
			n, err := person.Read(text)
			if err != nil {
				return // nobody holds the program's end any more
			}
			term.Write(text[:n])
		}
	})
	t.Cleanup(func() {
		program.Close() // it may be closed
		read.Wait()
		person.Close()
	})
	return term
}

func (term *terminal) types(text string) {
	term.t.Helper()
	if _, err := term.person.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

// shell is a terminal with a shell in it.
type shell struct {
	*terminal
	dir   string
	asked int
}

func openShell(t *testing.T, dir string, env []string, argv ...string) *shell {
	t.Helper()
	term := openTerminal(t)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, env, term.program, term.program, term.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term.program.Close() // the shell has its own
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()
	})
	return &shell{terminal: term, dir: dir}
}

// ready types a command and waits until it is done. The quotes keep what is waited for out of what
// is typed.
func (s *shell) ready(command string) {
	s.t.Helper()
	s.asked++
	at := len(s.since(0))
	s.types(fmt.Sprintf("%s; echo don''e-%d\r", command, s.asked))
	want := fmt.Sprintf("done-%d", s.asked)
	s.await(at, want+" and a prompt", func(got string) bool {
		_, after, done := strings.Cut(got, want+"\r\n")
		return done && strings.Contains(after, "$ ")
	})
}

// complete types, presses Tab, waits for what is wanted, removes what was typed, and returns what
// was on the screen.
func (s *shell) complete(typed string, want []string) string {
	s.t.Helper()
	at := len(s.since(0))
	s.types(typed + "\t")
	s.await(at, fmt.Sprintf("%q after %q and Tab", want, typed), func(got string) bool {
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(got, w) })
	})
	s.ready("\x15:") // Ctrl-U
	got, _, _ := strings.Cut(s.since(at), ":; echo don''e")
	return got
}
