package cli

import (
	"cmp"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestStatusShowsAllSomeOrOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
	for _, c := range []struct {
		args         []string
		want, absent string
	}{
		{nil, "\ndevelopment  running  20260103T000000 ", "\x1b"},
		{[]string{"t*"}, "\ntesting  running  20260105T000000-eeeeee ", "development"},
		{[]string{"development"}, "Booting worker", "testing"},
	} {
		out, errOut, code := d.run(append([]string{"status"}, c.args...)...)
		if code != 0 || !strings.Contains(out, c.want) || strings.Contains(out, c.absent) {
			t.Errorf("status %v: exit %d, %q %q", c.args, code, out, errOut)
		}
	}
	for args, builds := range map[string]int{"*": 2, "development": 1} {
		out, _, code := d.run("status", "--json", args)
		var st control.Status
		if err := json.Unmarshal([]byte(out), &st); code != 0 || err != nil || len(st.Builds) != builds || st.Version != "1.0" {
			t.Errorf("status --json %s: exit %d, %v: %s", args, code, err, out)
		}
	}
}

func TestStatusIsAlsoACheck(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
	for args, want := range map[string]string{"": "testing: ", "testing": "testing: ", "development": ""} {
		argv := []string{"status", "--check"}
		if args != "" {
			argv = append(argv, args)
		}
		out, errOut, code := d.run(argv...)
		if !strings.Contains(out, cmp.Or(args, "NAME")) || (code == 1) != (want != "") || want != "" && !strings.Contains(errOut, "not all is well: "+want) {
			t.Errorf("%q: exit %d, %q, %q", argv, code, out, errOut)
		}
	}
	for args, want := range map[string]string{"": "testing: ", "testing": "testing: ", "development": ""} {
		argv := strings.Fields("status --serving " + args)
		out, errOut, code := d.run(argv...)
		if out != "" || (code == 1) != (want != "") || want != "" && !strings.Contains(errOut, "not serving: "+want) || want == "" && errOut != "" {
			t.Errorf("%q: exit %d, %q, %q", argv, code, out, errOut)
		}
	}
	if _, errOut, code := d.run("status", "--check", "--watch"); code != 2 || !strings.Contains(errOut, "leave out one of them") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

func TestStatusIsWatchedInPlaceInATerminalAndElsewhereAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
	out, end := d.start("status", "--watch")
	out.await(0, "a second table", func(got string) bool { return strings.Count(got, "NAME") > 1 })
	if code := end(); code != 0 || strings.Contains(out.since(0), "\x1b") {
		t.Errorf("in a pipe: exit %d, %q", code, out.since(0))
	}
	for terminal, drawn := range map[string]string{"xterm": "q quit", "dumb": "\x1b[H"} {
		for key, want := range map[string]int{"": 128 + int(syscall.SIGTERM), "q": 0, "\x03": 130} {
			term := openTerminal(t)
			before, err := unix.IoctlGetTermios(int(term.program.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file, "status", "--watch")
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = d.dir, append(d.env(), "TERM="+terminal), term.program, term.program, term.program
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			term.awaitText("testing")
			term.awaitText(drawn)
			if key == "" || terminal == "dumb" {
				cmd.Process.Signal(syscall.SIGTERM)
			} else {
				term.types(key)
			}
			cmd.Wait() // its exit code says how it went
			after, err := unix.IoctlGetTermios(int(term.program.Fd()), unix.TCGETS)
			if code := cmd.ProcessState.ExitCode(); err != nil || *before != *after || terminal == "xterm" && code != want {
				t.Errorf("%s, %q: exit %d, want %d; the terminal was %+v and is %+v, %v", terminal, key, code, want, before, after, err)
			}
			if terminal == "xterm" {
				term.awaitText("\x1b[?1049l") // the last of it is read a moment after its end
				if got := term.since(0); strings.Count(got, "\x1b[?1049h") != strings.Count(got, "\x1b[?1049l") {
					t.Errorf("%q leaves the terminal on its other screen", key)
				}
			}
		}
	}
}

func TestAWatchedSupervisorThatEndsIsExitCode3(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stop := d.serve(&fake{})
	out, end := d.start("status", "--watch", "--json")
	out.awaitText("}\n")
	stop()
	out.awaitText("no supervisor is running")
	if code := end(); code != exitNoSupervisor {
		t.Errorf("exit %d: %s", code, out.since(0))
	}
}
