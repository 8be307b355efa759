package supervisor

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

func TestMarkThatNoneOfOursCanHaveIsNobodys(t *testing.T) {
	t.Parallel()
	if build, n, ok := generationOf("id", "id/one/7"); build != "one" || n != 7 || !ok {
		t.Errorf("%s, %d, %v", build, n, ok)
	}
	for _, mark := range []string{
		"", "id", "id/", "id/one", "id/one/", "id/one/x", "id/one/0", "id/one/-1", "id/one/+7", "id/one/07", "id/one/7/8",
		"id/one/9223372036854775807", "id/one/99999999999999999999", "id/one/1073741825",
		"id/../5", "id/./5", "id//5", "id/One/5", "id/.supervisor/5", "id/a\nb/5", "id/" + strings.Repeat("a", 33) + "/5",
		"other/one/7", "id2/one/7", "MEDCTRL_STEP=id/one/7",
	} {
		if build, n, ok := generationOf("id", mark); ok {
			t.Errorf("%q is generation %d of %s", mark, n, build)
		}
	}
}

func TestClaimIsConfirmedByRecordUserOrCgroupAlone(t *testing.T) {
	t.Parallel()
	const builds, another = 1001, 1002
	recordedAs := func(user *int) state.Record {
		return state.Record{NextGeneration: 6, Generations: []state.Generation{{N: 5, Pid: 50, StartTime: 500, BootID: "boot", User: user}}}
	}
	was, own := 1003, -1
	claimOf := func(n, pid int, start uint64, user int, leads bool) world.Marked {
		return world.Marked{Process: actor.Process{Pid: pid, StartTime: start}, Mark: "id/one/" + strconv.Itoa(n), User: user, Leader: leads}
	}
	inside := func(m world.Marked, n int) world.Marked {
		m.Cgroup = "id/one/" + strconv.Itoa(n)
		return m
	}
	main := claimOf(5, 50, 500, builds, true)
	for name, c := range map[string]struct {
		record  state.Record
		claims  []world.Marked
		cgroups []string
		want    map[int][]int // by generation: its main process, or 0, then the others
	}{
		"the recorded main process": {recordedAs(nil), []world.Marked{main, claimOf(5, 51, 510, builds, false)}, nil, map[int][]int{5: {50, 51}}},
		"one of another user beside it, which leads a group too": {
			recordedAs(nil), []world.Marked{main, claimOf(5, 60, 600, another, true)}, nil, map[int][]int{5: {50}}},
		"one of the build's own user beside it, which leads a group too": {
			recordedAs(nil), []world.Marked{claimOf(5, 49, 400, builds, true), main}, nil, map[int][]int{5: {50, 49}}},
		"another user's with a number that is given next": {recordedAs(nil), []world.Marked{claimOf(6, 60, 600, another, true)}, nil, nil},
		"the build's own, not written down any more": {
			recordedAs(nil), []world.Marked{claimOf(6, 60, 600, builds, true), claimOf(6, 61, 600, builds, true)}, nil, map[int][]int{6: {60, 61}}},
		"the build's own with a number far beyond":   {recordedAs(nil), []world.Marked{claimOf(6+unrecorded, 60, 600, builds, true)}, nil, nil},
		"the build's own without a record":           {state.Record{}, []world.Marked{claimOf(70, 60, 600, builds, true)}, nil, map[int][]int{70: {60}}},
		"another user's without a record":            {state.Record{}, []world.Marked{claimOf(70, 60, 600, another, true)}, nil, nil},
		"a set-user-ID program":                      {state.Record{}, []world.Marked{claimOf(70, 60, 600, -1, true)}, nil, nil},
		"root's, where the build has another user":   {state.Record{}, []world.Marked{claimOf(70, 60, 600, 0, true)}, nil, nil},
		"the pid of the record at another time":      {recordedAs(nil), []world.Marked{claimOf(5, 50, 501, another, true)}, nil, nil},
		"the recorded user, whom the entry has not":  {recordedAs(&was), []world.Marked{claimOf(5, 51, 510, was, false)}, nil, map[int][]int{5: {0, 51}}},
		"the entry's user, whom the record has not":  {recordedAs(&was), []world.Marked{claimOf(5, 51, 510, builds, false)}, nil, nil},
		"the supervisor's own user":                  {recordedAs(&own), []world.Marked{claimOf(5, 51, 510, os.Geteuid(), false)}, nil, map[int][]int{5: {0, 51}}},
		"the user of the main process":               {recordedAs(nil), []world.Marked{claimOf(5, 50, 500, was, true), claimOf(5, 51, 510, was, false)}, nil, map[int][]int{5: {50, 51}}},
		"a process in the cgroup, whoever it is now": {recordedAs(nil), []world.Marked{inside(claimOf(5, 51, 510, another, false), 5)}, []string{"id/one/5"}, map[int][]int{5: {0, 51}}},
		"a process in a cgroup that names another generation": {
			recordedAs(nil), []world.Marked{main, inside(claimOf(900, 60, 600, builds, true), 5)}, []string{"id/one/5"}, map[int][]int{5: {50, 60}}},
		"a process in another build's cgroup": {
			recordedAs(nil), []world.Marked{{Process: actor.Process{Pid: 60}, Mark: "id/one/5", Cgroup: "id/two/5", User: builds, Leader: true}}, nil, nil},
		"who is in the cgroup rather than who is not": {
			state.Record{}, []world.Marked{claimOf(7, 60, 600, builds, true), inside(claimOf(7, 61, 610, builds, true), 7)}, []string{"id/one/7"}, map[int][]int{7: {61, 60}}},
		"a cgroup alone": {state.Record{}, nil, []string{"id/one/8", "id/../8"}, map[int][]int{8: {0}}},
		"of another boot": {
			state.Record{NextGeneration: 6, Generations: []state.Generation{{N: 5, Pid: 50, StartTime: 500, BootID: "earlier"}}},
			[]world.Marked{claimOf(5, 50, 500, another, true)}, nil, nil},
	} {
		e := evidence{record: c.record, bootID: "boot", user: builds}
		left, refused := e.confirm("id", "one", sorted("id", c.claims, c.cgroups)["one"])
		got, n := map[int][]int{}, len(refused)
		for _, l := range left {
			pids := []int{l.Leader.Pid}
			for _, m := range l.Members {
				if n++; m.Pid != l.Leader.Pid {
					pids = append(pids, m.Pid)
				}
			}
			got[l.N] = pids
			if want := "id/one/" + strconv.Itoa(l.N); l.Mark != want {
				t.Errorf("%s: mark %s, want %s", name, l.Mark, want)
			}
		}
		same := len(got) == len(c.want)
		for n, pids := range c.want {
			same = same && slices.Equal(got[n], pids)
		}
		if !same {
			t.Errorf("%s: confirmed are %v, want %v", name, got, c.want)
		}
		if name != "a process in another build's cgroup" && n != len(c.claims) {
			t.Errorf("%s: %d of %d processes are confirmed or refused", name, n, len(c.claims))
		}
	}
}

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
