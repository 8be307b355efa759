package show

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a terminal: what a person sees, and what a program writes to.
func openTerminal(t *testing.T, columns, rows uint16) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal can be opened: ", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestATerminalHasItsSizeAndColoursUnlessToldOtherwise(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	_, program := openTerminal(t, 132, 50)
	if got, want := LookOf(program), (Look{Columns: 132, Rows: 50, Color: true}); got != want {
		t.Errorf("a terminal looks %+v, want %+v", got, want)
	}
	t.Setenv("NO_COLOR", "1")
	if LookOf(program).Color {
		t.Error("colours in spite of NO_COLOR")
	}
	_, unsized := openTerminal(t, 0, 0)
	if got, want := LookOf(unsized), (Look{Columns: 80, Rows: 24}); got != want {
		t.Errorf("a terminal that does not know its size looks %+v, want %+v", got, want)
	}
}

func TestAPipeIsNoTerminal(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, out := range []any{w, &bytes.Buffer{}} {
		if IsTerminal(out) {
			t.Errorf("%T is taken for a terminal", out)
		}
	}
	if got, want := LookOf(w), (Look{Columns: 80, Rows: 24}); got != want {
		t.Errorf("a pipe looks %+v, want %+v", got, want)
	}
}

// The time a step has taken grows on the screen although no step ends.
func TestProgressIsRedrawnInATerminal(t *testing.T) {
	t.Parallel()
	person, program := openTerminal(t, 80, 24)
	p := NewProgress(program, []string{"one"})
	p.Step("one", "one: step 2 of 8: copy")
	if err := person.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Skip("a terminal's reads have no deadline here: ", err)
	}
	var seen bytes.Buffer
	for text := make([]byte, 4096); strings.Count(seen.String(), "\x1b[J") < 3; {
		n, err := person.Read(text)
		if err != nil {
			t.Fatalf("%v; the terminal was sent %q", err, seen.String())
		}
		seen.Write(text[:n])
	}
	p.End("one", program, "one: restart done")
	p.Close()
}

func TestNothingOfAChildMovesTheCursor(t *testing.T) {
	t.Parallel()
	if got := Clean("a\tb\x1b[2J\r\n\u009bc\u202ed\u00e9"); got != "a b[2Jcd\u00e9" {
		t.Errorf("%q", got)
	}
}
