package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// testRunner makes a runner with a table of its own.
func testRunner(t *testing.T) runner {
	t.Helper()
	table, err := process.NewTable("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return newRunner(table)
}

// shell is a command of a shell in a folder of its own.
func shell(t *testing.T, script string) build.Command {
	return build.Command{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "A=b"}, Dir: t.TempDir(), Umask: 0o027}
}

func TestRunReturnsTheEndOfWhatACommandPrinted(t *testing.T) {
	t.Parallel()
	r := testRunner(t)
	for _, c := range []struct{ script, output, err string }{
		{`echo " $A"; umask; pwd >&2`, "b\n0027\nDIR", ""},
		{`echo no; exit 3`, "no", "exit code 3"},
		{`kill -9 $$`, "", "killed by SIGKILL"},
		{`printf %2000s x; echo y`, "xy", ""},
	} {
		cmd := shell(t, c.script)
		output, err := r.Run(t.Context(), cmd)
		if want := strings.ReplaceAll(c.output, "DIR", cmd.Dir); output != want || fmt.Sprint(err) != c.err && (err != nil || c.err != "") {
			t.Errorf("%s: %q, error %v; want %q, %q", c.script, output, err, want, c.err)
		}
	}
	if output, err := r.Run(t.Context(), build.Command{Argv: []string{"/no/such/program"}}); !errors.Is(err, os.ErrNotExist) || output != "" {
		t.Errorf("output %q, error %v of a missing program", output, err)
	}
	long, err := r.Run(t.Context(), shell(t, `head -c 5000 /dev/zero | tr '\0' x`))
	if err != nil || len(long) != outputKept {
		t.Errorf("%d bytes of output, error %v", len(long), err)
	}
}

func TestRunEndsWithItsContextAndHoldsNothing(t *testing.T) {
	t.Parallel()
	r := testRunner(t)
	c := shell(t, `
		echo begun
		(trap '' TERM; setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' &)
		[ -z "$HANG" ] || sleep 1000
		while [ ! -e pid ]; do sleep 0.01; done`)
	for name, hang := range map[string]bool{"it hangs": true, "it leaves a daemon": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := c
			c.Dir = t.TempDir()
			why := errors.New("that is enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			want := error(nil)
			if hang {
				c.Env = append(c.Env[:2:2], "HANG=1")
				want = why
				go func() {
					for tick := time.Tick(5 * time.Millisecond); ; <-tick {
						if _, err := os.Stat(filepath.Join(c.Dir, "pid")); err == nil || t.Context().Err() != nil {
							cancel(why)
							return
						}
					}
				}()
			}
			output, err := r.Run(ctx, c)
			if !errors.Is(err, want) || output != "begun" {
				t.Errorf("output %q, error %v", output, err)
			}
			text, err := os.ReadFile(filepath.Join(c.Dir, "pid"))
			pid, perr := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil || perr != nil {
				t.Fatal(err, perr)
			}
			if !process.Dead(pid) {
				t.Errorf("process %d is left", pid)
			}
		})
	}
}

func TestCommandThatPrintsALotTakesLittleMemory(t *testing.T) {
	t.Parallel()
	out, err := outputFile()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	chunk := []byte(strings.Repeat("x", outputHeld))
	for range 8 {
		if _, err := out.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := out.WriteString("the end"); err != nil {
		t.Fatal(err)
	}
	trimOutput(out)
	info, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if held := info.Sys().(*syscall.Stat_t).Blocks * 512; held > 2*outputHeld {
		t.Errorf("%d bytes are held", held)
	}
	if got := lastOutput(out); len(got) != outputKept || !strings.HasSuffix(got, "xthe end") {
		t.Errorf("the end is %q", got)
	}
}

func TestCommandsOfBuildsAreFoundByTheirMark(t *testing.T) {
	t.Parallel()
	r := testRunner(t)
	c := shell(t, "exec sleep 1000")
	c.Mark = c.Dir + "/1"
	p, err := r.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	if marks, err := r.Running(c.Dir, os.Geteuid()); err != nil || len(marks) != 1 || marks[0] != c.Mark {
		t.Errorf("running are %q, error %v", marks, err)
	}
	if err := r.End(t.Context(), c.Mark, os.Geteuid()); err != nil {
		t.Error(err)
	}
	if err := p.Wait(t.Context(), 0); err == nil || err.Error() != "killed by SIGKILL" {
		t.Errorf("it ended: %v", err)
	}
	if marks, err := r.Running(c.Dir, os.Geteuid()); err != nil || len(marks) != 0 {
		t.Errorf("running are %q, error %v", marks, err)
	}
	if _, err := r.Start(build.Command{}); err == nil {
		t.Error("starting nothing returned no error")
	}
}
