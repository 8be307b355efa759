package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// legacy is what one image of a program leaves to the next.
type legacy struct {
	Round    int
	Pid      int
	Alive    []born
	Dying    []born // exit just before, in and after the exec, each with its place in the list as its code
	Told     int
	Problems []string
}

const (
	execRounds = 5
	execDying  = 30
)

// actImage is one image: it takes over what the one before left, starts more, and makes way for the
// next.
func actImage(args []string) error {
	var l legacy
	if len(args) > 0 {
		if err := json.Unmarshal([]byte(args[0]), &l); err != nil {
			return err
		}
	}
	problem := func(format string, a ...any) { l.Problems = append(l.Problems, fmt.Sprintf(format, a...)) }
	if l.Pid != 0 && l.Pid != os.Getpid() {
		problem("pid was %d and is %d", l.Pid, os.Getpid())
	}
	l.Pid = os.Getpid()
	tb, err := NewTable("", nil)
	if err != nil {
		return err
	}
	for code, b := range l.Dying {
		exits := make(chan Exit, 1)
		if _, err := tb.Adopt(b.Pid, b.Start, b.Mark, os.Geteuid(), func(e Exit) { exits <- e }); err != nil {
			problem("%v", err)
			continue
		}
		select {
		case e := <-exits:
			l.Told++
			if e.Code != code || e.Unknown {
				problem("exit is %v, want code %d", e, code)
			}
		case <-time.After(patience):
			problem("exit of %d was not told", b.Pid)
		}
	}
	for _, b := range l.Alive {
		c, err := tb.Adopt(b.Pid, b.Start, b.Mark, os.Geteuid(), nil)
		if err != nil {
			problem("%v", err)
		} else if err := c.Signal(0); err != nil {
			problem("child %d did not live on: %v", b.Pid, err)
		}
	}
	if l.Round++; l.Round > execRounds {
		return json.NewEncoder(os.Stdout).Encode(l)
	}
	c, err := tb.Spawn(Spec{Argv: []string{"/bin/sleep", "1000"}, Mark: "test/image"}, nil)
	if err != nil {
		return err
	}
	l.Alive = append(l.Alive, born{c.Pid(), c.StartTime(), "test/image"})

	// The children read from these until their end, which is when we close them or the exec does.
	var r, w [2]*os.File
	for i := range r {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil { // one that blocks, other than os.Pipe
			return err
		}
		r[i], w[i] = os.NewFile(uintptr(ends[0]), "read"), os.NewFile(uintptr(ends[1]), "write")
	}
	l.Dying = nil
	for code := range execDying {
		c, err := tb.Spawn(Spec{
			Argv: []string{"/bin/sh", "-c", "read x <&3; exit $0", strconv.Itoa(code)}, Listener: r[code%2], Mark: "test/image",
		}, func(Exit) { panic("taken by an image that was to leave it") })
		if err != nil {
			return err
		}
		l.Dying = append(l.Dying, born{c.Pid(), c.StartTime(), "test/image"})
	}
	tb.Freeze()
	w[0].Close()
	said, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return Exec("/proc/self/exe", []string{os.Args[0], "image", string(said)}, os.Environ())
}

func TestExecKeepsTheChildrenAndTheirExits(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", "image")
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // it would sleep for a second at its end
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var l legacy
	if err := json.Unmarshal(out, &l); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	for _, p := range l.Problems {
		t.Error(p)
	}
	if want := execRounds * execDying; l.Told != want || len(l.Alive) != execRounds {
		t.Errorf("%d exits and %d living children, want %d and %d", l.Told, len(l.Alive), want, execRounds)
	}
	for _, b := range l.Alive {
		unix.Kill(b.Pid, unix.SIGKILL) // ours as a subreaper: not recycled
		unix.Wait4(b.Pid, nil, 0, nil)
	}
}

func TestFreezeHoldsExitsAndSpawnsBack(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	k := spawn(t, tb, sh(t, "exec sleep 1000"))
	thaw := tb.Freeze()
	defer thaw()
	if err := k.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a zombie that nobody waits for", func() bool {
		s, err := readStat(k.Pid())
		return err == nil && s.dead()
	})
	started := make(chan kid)
	go func() {
		late, err := trySpawn(t, tb, sh(t, "exit 6"))
		if err != nil {
			t.Error(err)
		}
		started <- late
	}()
	other := make(chan error)
	go func() { other <- exec.Command("/bin/sh", "-c", "exit 5").Run() }()
	select {
	case <-started:
		t.Fatal("a child was started")
	case <-other:
		t.Fatal("os/exec started something")
	case <-k.exits:
		t.Fatal("an exit was told")
	case <-time.After(50 * time.Millisecond):
	}
	thaw()
	thaw()
	if e := k.wait(); e.Signal != unix.SIGKILL {
		t.Error(e)
	}
	if e := (<-started).wait(); e.Code != 6 {
		t.Error(e)
	}
	if err := <-other; err == nil || err.Error() != "exit status 5" {
		t.Errorf("os/exec got %v, want exit status 5", err)
	}
}

func TestFailedExecChangesNothing(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	missing := t.TempDir() + "/program"
	if err := Exec(missing, []string{"program"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want that the program is missing", err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after); err != nil {
		t.Fatal(err)
	}
	if after != before {
		t.Errorf("limit of open files is %+v, was %+v", after, before)
	}
}
