package process

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// born is what a former supervisor wrote down of a child.
type born struct {
	Pid   int
	Start uint64
	Mark  string
}

// former is a supervisor that ran before: a process of its own with children of its own, below a
// process that is to them what pid 1 is to us.
type former struct {
	pid      int
	children []born
}

// startFormer starts it with a child for each script. initReaps says whether its pid 1 waits for
// orphans at once or, as some do for seconds, not at all.
func startFormer(t testing.TB, initReaps bool, specs ...Spec) former {
	t.Helper()
	return startFormerWith(t, "", initReaps, specs...)
}

// startFormerWith has the children in cgroups in a folder of that name.
func startFormerWith(t testing.TB, cgroups string, initReaps bool, specs ...Spec) former {
	t.Helper()
	args, err := json.Marshal(specs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "init", strconv.FormatBool(initReaps), string(args))
	if cgroups != "" {
		cmd.Args = append(cmd.Args, cgroups)
	}
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // it would sleep for a second at its end
	stdin, err := cmd.StdinPipe()                              // its end is the end of both
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tb := newTable(t)
		for _, s := range specs {
			tb.remains(0, 0, s.tag(), os.Geteuid()).End(context.Background(), 0)
		}
		stdin.Close()
		cmd.Wait()
	})
	var f former
	in := bufio.NewReader(stdout)
	if _, err := fmt.Fscanln(in, &f.pid); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(in).Decode(&f.children); err != nil {
		t.Fatal(err)
	}
	return f
}

// die is kill -9 of the supervisor; it returns when its children are orphans.
func (f former) die(t testing.TB) {
	t.Helper()
	if err := unix.Kill(f.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its children are orphans", func() bool {
		for _, c := range f.children {
			if s, err := readStat(c.Pid); err == nil && s.ppid == f.pid {
				return false
			}
		}
		return true
	})
}

// adopt takes its nth child over.
func (f former) adopt(t testing.TB, tb *Table, n int) kid {
	t.Helper()
	k, err := newKid(t, func(exited func(Exit)) (*Child, error) {
		return tb.Adopt(f.children[n].Pid, f.children[n].Start, f.children[n].Mark, os.Geteuid(), exited)
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// actInit stands in for pid 1.
func actInit(args []string) error {
	if err := Subreaper(); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"former"}, args[1:]...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	if args[0] == "true" {
		go func() {
			for {
				if _, err := unix.Wait4(-1, nil, 0, nil); err != nil {
					<-time.After(time.Millisecond) // it has no children at the moment
				}
			}
		}()
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// actFormer stands in for a supervisor until it is killed.
func actFormer(args []string) error {
	var specs []Spec
	if err := json.Unmarshal([]byte(args[0]), &specs); err != nil {
		return err
	}
	tb, err := NewTable("", nil)
	if err != nil {
		return err
	}
	if len(args) > 1 {
		if err := tb.UseCgroups(args[1]); err != nil {
			return err
		}
	}
	var children []born
	for _, s := range specs {
		s.Log = filepath.Join(s.Dir, "log")
		c, err := tb.Spawn(s, nil)
		if err != nil {
			return err
		}
		children = append(children, born{c.Pid(), c.StartTime(), s.Mark})
	}
	fmt.Println(os.Getpid())
	if err := json.NewEncoder(os.Stdout).Encode(children); err != nil {
		return err
	}
	select {}
}
