package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(ExecStep(os.Args[2:]))
	}
	other := map[string]func([]string) error{
		"footprint": printFootprint, "former": actFormer, "init": actInit, "image": actImage, "without-cgroups": actWithoutCgroups,
		"attempts": printAttempts,
		"eat":      eatMemory, "burn": burnCPU,
	}
	if len(os.Args) > 1 && other[os.Args[1]] != nil {
		if err := other[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := Subreaper(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func newTable(t testing.TB) *Table {
	t.Helper()
	tb, err := NewTable("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tb.Close() })
	return tb
}

// eachWay runs a test with both ways to start a child.
func eachWay(t *testing.T, test func(*testing.T, *Table)) {
	for _, stepOnly := range []bool{false, true} {
		if !stepOnly && !canClone {
			continue
		}
		t.Run(map[bool]string{false: "clone", true: "exec step"}[stepOnly], func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			tb.stepOnly = stepOnly
			test(t, tb)
		})
	}
}

// kid is a child with its exit.
type kid struct {
	*Child
	t     testing.TB
	exits chan Exit
}

func spawn(t testing.TB, tb *Table, s Spec) kid {
	t.Helper()
	k, err := trySpawn(t, tb, s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func trySpawn(t testing.TB, tb *Table, s Spec) (kid, error) {
	return newKid(t, func(exited func(Exit)) (*Child, error) { return tb.Spawn(s, exited) })
}

func newKid(t testing.TB, begin func(exited func(Exit)) (*Child, error)) (kid, error) {
	k := kid{t: t, exits: make(chan Exit, 2)}
	var err error
	if k.Child, err = begin(func(e Exit) { k.exits <- e }); err != nil {
		return k, err
	}
	t.Cleanup(func() { k.End(context.Background(), 0) })
	return k, nil
}

func (k kid) wait() Exit {
	k.t.Helper()
	select {
	case e := <-k.exits:
		return e
	case <-time.After(patience):
		k.t.Fatalf("process %d has not ended", k.Pid())
		return Exit{}
	}
}

func (k kid) end(grace time.Duration) time.Duration {
	k.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := k.End(ctx, grace); err != nil {
		k.t.Fatal(err)
	}
	return time.Since(began)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// sh is a Spec of a shell script, with a mark of its own.
func sh(t testing.TB, script string) Spec {
	return Spec{
		Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		Umask: 0o022, Mark: "test/" + t.Name() + "/" + strconv.FormatInt(time.Now().UnixNano(), 36), Dir: t.TempDir(),
	}
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(data), "\n"), "\n")
}

// pidsIn waits for a file to hold n whole lines and returns them as pids.
func pidsIn(t testing.TB, path string, n int) []int {
	t.Helper()
	var pids []int
	eventually(t, fmt.Sprintf("%d pids in %s", n, path), func() bool {
		data, _ := os.ReadFile(path)
		pids = nil
		for line := range strings.Lines(string(data)) {
			if pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && strings.HasSuffix(line, "\n") {
				pids = append(pids, pid)
			}
		}
		return len(pids) >= n
	})
	return pids
}

// gone reports whether there is no such process, not even as a zombie.
func gone(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH }
