package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(ExecStep(os.Args[2:]))
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
	k := kid{t: t, exits: make(chan Exit, 2)}
	var err error
	if k.Child, err = tb.Spawn(s, func(e Exit) { k.exits <- e }); err != nil {
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

// written waits for a file to hold n whole lines and returns them as pids.
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

func TestChildGetsExactlyWhatItsSpecSays(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		dir := t.TempDir()
		out := filepath.Join(dir, "log")
		s := sh(t, `
			cat /proc/self/status
			echo "cwd $(pwd)"; echo "umask $(umask)"; echo "nofile $(ulimit -Sn)"
			(ls -l /proc/$$/fd; true) > fds
			sed -n 's/.* \([0-9]*\) -> /fd \1 /p' fds
			echo "stat $(cat /proc/$$/stat)"
			echo environ; tr '\0' '\n' < /proc/$$/environ`)
		s.Dir, s.Log, s.Umask = dir, out, 0o037
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		s.Listener, s.Ready = r, w
		s.Env = append(s.Env, "ODD=a b\xff=c", "LISTEN_PID=1", "LISTEN_FDS=9", MarkKey+"=forged")
		// A descriptor that someone forgot to mark does not reach the child.
		stray, err := unix.Open("/", unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(stray)

		k := spawn(t, tb, s)
		if e := k.wait(); !e.Clean() {
			t.Fatal(e, lines(t, out))
		}
		got := map[string]string{}
		var fds, env []string
		for i, line := range lines(t, out) {
			key, value, _ := strings.Cut(line, " ")
			if name, v, ok := strings.Cut(line, ":\t"); ok {
				key, value = name, v
			}
			switch key {
			case "fd":
				fds = append(fds, value)
			case "environ":
				env = lines(t, out)[i+1:]
			default:
				got[key] = value
			}
		}
		pipe := func(f *os.File) string {
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("pipe:[%d]", st.Ino)
		}
		wantFDs := []string{"0 /dev/null", "1 " + out, "2 " + out, "3 " + pipe(r), "4 " + pipe(w)}
		if !slices.Equal(fds, wantFDs) {
			t.Errorf("descriptors %q, want %q", fds, wantFDs)
		}
		pid := strconv.Itoa(k.Pid())
		wantEnv := []string{MarkKey + "=" + s.Mark, "LISTEN_FDS=1", "LISTEN_FDNAMES=gunicorn",
			"MEDCTRL_READY_FD=4", "PATH=/usr/bin:/bin", "ODD=a b\xff=c", "LISTEN_PID=" + pid}
		if !slices.Equal(env, wantEnv) {
			t.Errorf("environment %q, want %q", env, wantEnv)
		}
		st, err := parseStat([]byte(got["stat"]))
		if err != nil || st.pid != k.Pid() || st.session != k.Pid() || st.pgrp != k.Pid() || st.ppid != os.Getpid() || st.start != k.StartTime() {
			t.Errorf("stat %+v (%v), want pid, group and session %d, parent %d, start %d", st, err, k.Pid(), os.Getpid(), k.StartTime())
		}
		nofile := "unlimited"
		if lim := originalNofile(t); lim != unix.RLIM_INFINITY {
			nofile = strconv.FormatUint(lim, 10)
		}
		for key, want := range map[string]string{
			"cwd": dir, "umask": "0037", "nofile": nofile,
			"SigBlk": "0000000000000000", "SigIgn": "0000000000000000",
		} {
			if got[key] != want {
				t.Errorf("%s is %q, want %q", key, got[key], want)
			}
		}
		if info, err := os.Stat(out); err != nil || info.Mode().Perm()&^0o640 != 0 {
			t.Errorf("log has mode %v (%v), want at most 0640", info.Mode(), err)
		}
	})
}

// originalNofile is the limit that Go gives to what os/exec starts.
func originalNofile(t *testing.T) uint64 {
	out, err := exec.Command("/bin/sh", "-c", "ulimit -Sn").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(out)) == "unlimited" {
		return unix.RLIM_INFINITY
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSpecWithoutExtrasLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `(ls -l /proc/$$/fd; true) > fds
			sed -n 's/.* \([0-9]*\) -> /\1 /p' fds > out
			tr '\0' '\n' < /proc/$$/environ >> out`)
		s.Mark = ""
		k := spawn(t, tb, s)
		k.wait()
		want := []string{"0 /dev/null", "1 /dev/null", "2 /dev/null", "PATH=/usr/bin:/bin"}
		got := lines(t, filepath.Join(s.Dir, "out"))
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestIgnoredSignalsAreDefaultInTheChild(t *testing.T) {
	// In a process of its own: dispositions are the whole program's.
	if os.Getenv("PROCESS_TEST_IGNORE") == "" {
		t.Parallel()
		cmd := exec.Command("/bin/sh", "-c", `trap '' HUP INT PIPE USR1; exec "$0" "$@"`,
			"/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args[3] = self
		cmd.Env = append(os.Environ(), "PROCESS_TEST_IGNORE=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for _, stepOnly := range []bool{!canClone, true} {
		tb := newTable(t)
		tb.stepOnly = stepOnly
		s := sh(t, `grep -E 'Sig(Ign|Blk)' /proc/self/status > out`)
		spawn(t, tb, s).wait()
		want := []string{"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"}
		if got := lines(t, filepath.Join(s.Dir, "out")); !slices.Equal(got, want) {
			t.Errorf("exec step %v: got %q, want %q", stepOnly, got, want)
		}
	}
}

func TestSpawnErrorNamesWhatFailed(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		dir := t.TempDir()
		write := func(name, text string, mode os.FileMode) string {
			p := filepath.Join(dir, name)
			if err := os.WriteFile(p, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			return p
		}
		plain := write("plain", "text", 0o644)
		script := write("script", "#!/no/such/interpreter\n", 0o755)
		env := []string{"PATH=" + dir}
		for _, c := range []struct {
			name string
			spec Spec
			want string
			is   error
		}{
			{"no command", Spec{}, "no command given", nil},
			{"missing", Spec{Argv: []string{"/no/such/program"}}, "execute /no/such/program: no such file", fs.ErrNotExist},
			{"missing in PATH", Spec{Argv: []string{"nosuchprogram"}, Env: env}, "nosuchprogram: file does not exist in PATH", fs.ErrNotExist},
			{"not executable", Spec{Argv: []string{plain}}, "execute " + plain + ": permission denied", fs.ErrPermission},
			{"not executable in PATH", Spec{Argv: []string{"plain"}, Env: env}, "execute " + plain + ": permission denied", fs.ErrPermission},
			{"a folder", Spec{Argv: []string{dir}}, "execute " + dir + ": permission denied", fs.ErrPermission},
			{"interpreter", Spec{Argv: []string{script}}, "the interpreter it names", fs.ErrNotExist},
			{"folder", Spec{Argv: []string{"/bin/true"}, Dir: "/no/such/dir"}, "enter folder /no/such/dir: no such file", fs.ErrNotExist},
			{"log", Spec{Argv: []string{"/bin/true"}, Log: "/no/such/dir/log"}, "open log /no/such/dir/log: no such file", fs.ErrNotExist},
			{"argument", Spec{Argv: []string{"/bin/true", "a\x00b"}}, "argument 1 holds a NUL", nil},
			{"environment", Spec{Argv: []string{"/bin/true"}, Env: []string{"SECRET"}}, `"SECRET" is not KEY=VALUE`, nil},
		} {
			_, err := trySpawn(t, tb, c.spec)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%s: error is %v, want one with %q", c.name, err, c.want)
			}
		}
		if n := len(tb.watches); n != 0 {
			t.Errorf("%d children are watched, want none", n)
		}
	})
}

func TestOnlyRootStartsAsAnotherUser(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `id -u; id -g; id -G`)
		s.Dir = "/"
		s.Log = filepath.Join(t.TempDir(), "log")
		s.User = &Credential{UID: 65534, GID: 65533, Groups: []uint32{65531, 65532}}
		k, err := trySpawn(t, tb, s)
		if os.Geteuid() != 0 {
			if err == nil || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "become user 65534, group 65533") {
				t.Errorf("error is %v, want that only root may do that", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		k.wait()
		if got, want := lines(t, s.Log), []string{"65534", "65533", "65533 65531 65532"}; !slices.Equal(got, want) {
			t.Errorf("ran as %q, want %q", got, want)
		}
	})
}

func TestFolderIsEnteredAsTheUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become someone else")
	}
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := trySpawn(t, tb, Spec{Argv: []string{"/bin/true"}, Dir: dir, User: &Credential{UID: 65534, GID: 65534}})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(fmt.Sprint(err), "enter folder "+dir) {
			t.Errorf("error is %v, want that the folder may not be entered", err)
		}
	})
}

func TestNoNewPrivsIsSet(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `grep NoNewPrivs /proc/self/status > out`)
		s.NoNewPrivs = true
		spawn(t, tb, s).wait()
		if got := lines(t, filepath.Join(s.Dir, "out")); got[0] != "NoNewPrivs:\t1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestCommandIsFoundInTheChildsPath(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bin", "mine"), []byte("#!/bin/sh\nexit 7\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, s := range []Spec{
			{Argv: []string{"mine"}, Env: []string{"PATH=/nowhere:" + dir + "/bin"}},
			{Argv: []string{"mine"}, Env: []string{"PATH=bin"}, Dir: dir},
			{Argv: []string{"bin/mine"}, Dir: dir},
		} {
			if e := spawn(t, tb, s).wait(); e.Code != 7 {
				t.Errorf("%q in %q: %v, want exit code 7", s.Argv, s.Env, e)
			}
		}
	})
}

func TestExitIsToldOnceWithItsCause(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		for _, c := range []struct {
			script, want string
			code         int
			sig          syscall.Signal
		}{
			{"exit 0", "exit code 0", 0, 0},
			{"exit 3", "exit code 3", 3, 0},
			{"kill -9 $$", "killed by SIGKILL", -1, unix.SIGKILL},
			{"kill -TERM $$", "killed by SIGTERM", -1, unix.SIGTERM},
			{"ulimit -c 0; kill -QUIT $$", "killed by SIGQUIT", -1, unix.SIGQUIT},
		} {
			k := spawn(t, tb, sh(t, c.script))
			e := k.wait()
			if e.String() != c.want || e.Code != c.code || e.Signal != c.sig || e.Clean() != (c.code == 0) || e.At.IsZero() {
				t.Errorf("%s: %+v (%v), want %s", c.script, e, e, c.want)
			}
			k.end(0)
			if got, ok := k.Exited(); !ok || got != e {
				t.Errorf("Exited is %v %v, want %v", got, ok, e)
			}
			if err := k.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal to the dead: %v", err)
			}
			if len(k.exits) != 0 {
				t.Error("exit was told twice")
			}
		}
	})
}

// Sizes of processes that os/exec waits for at the same time must stay its own.
func TestChildrenOfOsExecAreLeftToIt(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if err := exec.Command("/bin/sh", "-c", "exit 5").Run(); err == nil || err.Error() != "exit status 5" {
					t.Errorf("os/exec got %v, want exit status 5", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				k, err := trySpawn(t, tb, sh(t, "exit 6"))
				if err != nil {
					t.Error(err)
					return
				}
				if e := <-k.exits; e.Code != 6 {
					t.Errorf("got %v, want exit code 6", e)
				}
			}
		})
	}
	wg.Wait()
}

func TestManyChildrenNeedNoThreads(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	var wg sync.WaitGroup
	kids := make([]kid, 60)
	for i := range kids {
		wg.Go(func() { kids[i] = spawn(t, tb, Spec{Argv: []string{"/bin/sleep", "1000"}}) })
	}
	wg.Wait()
	if n := threads(t); n > 40 { // other tests run beside
		t.Errorf("%d threads with 60 children", n)
	}
	for _, k := range kids {
		if err := k.Signal(unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, k := range kids {
		if e := k.wait(); e.Signal != unix.SIGKILL {
			t.Error(e)
		}
	}
}

func threads(t testing.TB) int {
	s, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return s.threads
}

func TestCloseLeavesChildrenAlone(t *testing.T) {
	t.Parallel()
	tb, err := NewTable("", nil)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan Exit, 1)
	c, err := tb.Spawn(Spec{Argv: []string{"/bin/sleep", "1000"}}, func(e Exit) { told <- e })
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Close(); err != nil {
		t.Fatal(err)
	}
	if start, err := StartTime(c.Pid()); err != nil || start != c.StartTime() {
		t.Errorf("child is gone: %v", err)
	}
	if _, err := tb.Spawn(Spec{Argv: []string{"/bin/true"}}, nil); !errors.Is(err, errClosed) {
		t.Errorf("spawn from a closed table: %v", err)
	}
	if err := c.End(context.Background(), 0); !errors.Is(err, errClosed) {
		t.Errorf("end from a closed table: %v", err)
	}
	unix.Kill(c.Pid(), unix.SIGKILL) // not waited for yet
	unix.Wait4(c.Pid(), nil, 0, nil)
	if len(told) != 0 {
		t.Error("exit was told after Close")
	}
}

func TestFindMarkedFindsByPrefix(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `sleep 1000 & echo $! > pids; setsid sleep 1000 & wait`)
	k := spawn(t, tb, s)
	sleeper := pidsIn(t, filepath.Join(s.Dir, "pids"), 1)[0]
	eventually(t, "three marked processes", func() bool {
		found, err := FindMarked(s.Mark[:len(s.Mark)-3])
		if err != nil {
			t.Fatal(err)
		}
		pids := map[int]Found{}
		for _, f := range found {
			if f.Mark != s.Mark {
				t.Errorf("mark is %q, want %q", f.Mark, s.Mark)
			}
			pids[f.Pid] = f
		}
		return len(found) == 3 && pids[k.Pid()].StartTime == k.StartTime() && pids[sleeper].Group == k.Pid()
	})
	if found, err := FindMarked("no/such/mark/"); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestBootIDIsStable(t *testing.T) {
	t.Parallel()
	a, err := BootID()
	b, err2 := BootID()
	if err != nil || err2 != nil || a != b || len(a) != 36 {
		t.Errorf("%q %v, %q %v", a, err, b, err2)
	}
	if _, err := StartTime(1 << 29); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("start time of nobody: %v", err)
	}
}
