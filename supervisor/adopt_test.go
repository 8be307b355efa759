package supervisor

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// stranger starts a process of a user who has nothing to do with us, which leads a session as a main
// process does, and returns its pid.
func stranger(t *testing.T, environ ...string) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "setsid sleep 1000 & echo $!; wait")
	cmd.Env = append(environ, "PATH=/usr/bin:/bin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65103, Gid: 65103}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGKILL) // it is there until its parent has waited
		cmd.Wait()
	})
	return pid
}

func TestProcessThatClaimsAMarkIsNeverAdopted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to start processes of another user")
	}
	t.Parallel()
	s := newSite(t, "", entry("a"), entry("b"))
	first := s.startApart()
	a := s.serves("a")
	s.serves("b")
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(a.Pid) + "/environ")
	if err != nil {
		t.Fatal(err)
	}
	_, mark, _ := strings.Cut(string(environ), process.MarkKey+"=")
	mark, _, _ = strings.Cut(mark, "\x00")
	rootID, _, ok := strings.Cut(mark, "/")
	if !ok {
		t.Fatalf("mark %q of the server", mark)
	}
	// Where `ROOT/../gunicorn.sock` is.
	outside, err := net.Listen("unix", filepath.Join(s.dir, "gunicorn.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	forged := map[string]int{}
	for _, m := range []string{
		mark, rootID + "/a/2", rootID + "/a/900", rootID + "/a/9223372036854775807", rootID + "/b/1", rootID + "/../5", rootID + "/never_built/1",
	} {
		forged[m] = stranger(t, process.MarkKey+"="+m)
	}
	step := filepath.Join(s.root.Build("a").Releases(), ".tmp-20261123T090000-000000/1")
	forged[step] = stranger(t, process.TaskKey+"="+step)
	first.die()
	second := s.startApart()
	for range 2 {
		again := s.becomes("a", func(st control.BuildStatus) bool { return st.Pid == a.Pid && st.Healthy })
		if again.Restarts != 0 {
			t.Errorf("status is %+v", again)
		}
		if !strings.Contains(second.said.String(), "which nothing confirms, so it is left alone") {
			t.Error("the log says nothing of them")
		}
		second.die()
		second = s.startApart()
	}
	s.serves("b")
	s.kill(a.Pid)
	s.becomes("a", func(st control.BuildStatus) bool { return st.Pid != a.Pid && st.Healthy })
	record := s.read("root/.supervisor/state/a.json")
	if strings.Contains(record, "9223372036854775807") || strings.Contains(record, "90") && strings.Contains(record, `"next_generation": 90`) {
		t.Errorf("the record is %s", record)
	}
	if st, err := s.client.Status(t.Context()); err != nil || len(st.Builds) != 2 {
		t.Errorf("status is %+v, error %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "gunicorn.sock")); err != nil {
		t.Error("a file outside the root:", err)
	}
	if _, err := os.Stat(s.root.Build("never_built").Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Error("a folder was made for a build that never was:", err)
	}
	second.signal(syscall.SIGTERM)
	second.wait()
	if second.err != nil {
		t.Error(second.err)
	}
	for m, pid := range forged {
		if process.Dead(pid) {
			t.Errorf("the process that claims %s was ended", m)
		}
	}
}

func TestEachGenerationHasAFolderForTemporaryFilesThatEndsWithIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	first := s.startApart()
	tempOf := func(pid int) string {
		environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil {
			t.Fatal(err)
		}
		_, path, _ := strings.Cut(string(environ), "\x00TMPDIR=")
		path, _, _ = strings.Cut(path, "\x00")
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 || filepath.Dir(path) != s.root.Build("a").Run() {
			t.Errorf("TMPDIR is %s, %v, error %v", path, info, err)
		}
		return path
	}
	a := s.serves("a")
	before := tempOf(a.Pid)
	first.die() // an adopted one keeps it
	s.startApart()
	s.becomes("a", func(st control.BuildStatus) bool { return st.Pid == a.Pid && st.Healthy })
	if now := tempOf(a.Pid); now != before {
		t.Errorf("it was %s and is %s", before, now)
	}
	s.kill(a.Pid)
	again := s.becomes("a", func(st control.BuildStatus) bool { return st.Pid != a.Pid && st.Healthy })
	if now := tempOf(again.Pid); now == before {
		t.Error("another generation has the same")
	}
	s.eventually(func() string {
		if _, err := os.Stat(before); !errors.Is(err, os.ErrNotExist) {
			return "the folder of the one that ended is left"
		}
		return ""
	})
}

// tidiedLate are releases of whose attempts something is left that takes its time to end.
type tidiedLate struct {
	world.Releases
	until <-chan struct{}
}

func (l tidiedLate) Tidy(name string) (rest func() error, err error) {
	remove, err := l.Releases.Tidy(name)
	return func() error {
		<-l.until
		return remove()
	}, err
}

// What an attempt was killed with may take seconds to end. What serves is looked after meanwhile, and
// the next attempt waits.
func TestWhatServesIsTakenBackBeforeLeftoversOfAttemptsHaveEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"), entry("b"))
	first := s.startApart()
	a := s.serves("a")
	s.serves("b")
	first.die()
	s.settings("a", "a = 2\n")
	untidy := make(chan struct{})
	end := sync.OnceFunc(func() { close(untidy) })
	s.untidy = untidy
	r := s.start()
	t.Cleanup(end) // before the supervisor's end, which waits for it
	for _, name := range []string{"a", "b"} {
		s.becomes(name, func(b control.BuildStatus) bool { return b.State == control.StateRunning && b.Healthy })
	}
	if adopted := "generation adopted: build=a generation=1 release=" + a.Release + " pid=" + strconv.Itoa(a.Pid); !strings.Contains(r.said.String(), adopted) {
		t.Errorf("the log does not say %q", adopted)
	}
	// It is in another environment than the supervisor that was killed, so there may be an exchange as well.
	now := s.becomes("a", func(b control.BuildStatus) bool { return b.Pid != a.Pid && b.Healthy })
	s.kill(now.Pid)
	now = s.becomes("a", func(b control.BuildStatus) bool {
		return b.State == control.StateRunning && b.Healthy && b.Pid != now.Pid
	})
	if now.Release != a.Release || len(now.Releases) != 1 {
		t.Errorf("an attempt was made before the leftovers had ended: %+v", now)
	}
	end()
	s.becomes("a", func(b control.BuildStatus) bool { return b.State == control.StateRunning && b.Release != a.Release })
}
