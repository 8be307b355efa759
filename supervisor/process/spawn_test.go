package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
		wantFDs := []string{"0 /dev/null", "1 " + out, "2 " + out, "3 " + pipe(r), "5 " + pipe(w)}
		if !slices.Equal(fds, wantFDs) {
			t.Errorf("descriptors %q, want %q", fds, wantFDs)
		}
		pid := strconv.Itoa(k.Pid())
		wantEnv := []string{MarkKey + "=" + s.Mark, "LISTEN_FDS=1", "LISTEN_FDNAMES=gunicorn",
			"MEDCTRL_READY_FD=5", "PATH=/usr/bin:/bin", "ODD=a b\xff=c", "LISTEN_PID=" + pid}
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

func TestOurOwnUserNeedsNoRoot(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := Spec{Argv: []string{"/bin/true"}, User: &Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}
		if e := spawn(t, tb, s).wait(); !e.Clean() {
			t.Error(e)
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
