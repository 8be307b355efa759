package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY returns a new terminal, and the side of it that a program sees.
func openPTY(t *testing.T) (terminal, program *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	raw, err := terminal.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n uint32
	cerr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		}
	})
	if cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return terminal, program
}

func TestChildIsControlledByItsTerminal(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		terminal, program := openPTY(t)
		s := sh(t, `trap 'echo interrupted; exit 3' INT; test -t 0 -a -t 1 -a -t 2 && echo ready > /dev/tty; while :; do sleep 0.01; done`)
		s.Stdin, s.Stdout, s.Stderr, s.Terminal = program, program, program, true
		k := spawn(t, tb, s)
		program.Close() // the child has its own
		out := bufio.NewReader(terminal)
		if line, err := out.ReadString('\n'); strings.TrimSpace(line) != "ready" {
			t.Fatalf("%q, %v", line, err)
		}
		if _, err := io.WriteString(terminal, "\x03"); err != nil {
			t.Fatal(err)
		}
		if e := k.wait(); e.Code != 3 {
			t.Error(e)
		}
		if line, err := out.ReadString('\n'); !strings.Contains(line, "interrupted") {
			t.Errorf("%q, %v", line, err)
		}
	})
}

func TestTerminalThatIsNoneIsSaid(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		s := sh(t, "true")
		s.Stdin, s.Terminal = r, true
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), "the terminal that controls it: inappropriate ioctl") {
			t.Error(err)
		}
		s.Stdin = nil
		if _, err := trySpawn(t, tb, s); err == nil {
			t.Error("started without a terminal")
		}
	})
}
