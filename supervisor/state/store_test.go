package state

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("STATE_TEST_WRITER"); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var fullSchedule = Schedule{
	Times: "cron 30 2 * * *", At: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC), MakeUp: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
	Success: time.Date(2026, 11, 22, 2, 31, 0, 0, time.UTC),
	Last: &Run{ID: "schedule.sessions.abcdefghijkl", Release: "r2", Started: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC), Ended: time.Date(2026, 11, 23, 2, 31, 0, 0, time.UTC),
		Result: "failed", Exit: "exit code 1", Output: []string{"gone"}},
}

var full = Record{
	Version: Version, Build: "development", StoppedByHand: true, LastBuilt: "r2", Release: "r2", Previous: "r1",
	Bad: map[string]string{"r3": "answered 500"}, Trial: &Trial{Release: "r3", RunKey: "k", Faults: 1, Others: 2, Own: true, Reason: "exit code 3"}, Restarts: 7, RestartsByHand: 2, Wish: "rebuild", LastExit: "killed by SIGKILL", BuildError: "pip: no",
	Generations: []Generation{{N: 4, Role: "serving", Release: "r2", RunKey: "k", Pid: 912, StartTime: 1 << 60,
		BootID: "0b8b3e1f", SocketInode: 77, User: new(-1), Since: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Process: "worker", Index: 1, Asked: true}},
	NextGeneration: 5, Proven: "r2", ProvenRunKey: "k", Fallback: "r1", FallbackRunKey: "j",
	Alerted: []string{"exited"},
	Tasks: []Task{{ID: "run.abcdefghijkl", Kind: "run", Name: "manage.py shell", Release: "r2", Pid: 913, StartTime: 1 << 60, BootID: "0b8b3e1f", User: new(33),
		By: "alice", Started: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Deadline: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Attended: true, Logged: true,
		Ended: time.Date(2026, 11, 23, 9, 1, 0, 0, time.UTC), Exit: "killed by SIGTERM", Code: -1, Signal: 15, Why: "the build was stopped"}},
	Schedules: map[string]Schedule{"sessions": fullSchedule},
	Stays:     map[string]Stay{"r1": {Since: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Ended: "replaced by r2"}},
}

func mustOpen(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), ".supervisor", "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordComesBackAsItWas(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	if _, found, err := s.Load("development"); found || err != nil {
		t.Errorf("before the first Save: %v, %v", found, err)
	}
	unversioned := full
	unversioned.Version = 0
	if err := s.Save("development", unversioned); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("testing", Record{Build: "testing"}); err != nil {
		t.Fatal(err)
	}
	r, found, err := s.Load("development")
	if !found || err != nil || !reflect.DeepEqual(r, full) {
		t.Errorf("loaded %+v, %v, %v", r, found, err)
	}
	all, err := s.All()
	if err != nil || len(all) != 2 || !reflect.DeepEqual(all["development"], full) {
		t.Errorf("all %+v, %v", all, err)
	}
	for range 2 {
		if err := s.Delete("development"); err != nil {
			t.Error(err)
		}
	}
	if _, found, err := s.Load("development"); found || err != nil {
		t.Errorf("after Delete: %v, %v", found, err)
	}
}

func TestEveryFieldIsKept(t *testing.T) {
	t.Parallel()
	for _, v := range []any{full, full.Generations[0], *full.Trial, full.Tasks[0], fullSchedule, *fullSchedule.Last} {
		rv := reflect.ValueOf(v)
		for i := range rv.NumField() {
			if rv.Field(i).IsZero() {
				t.Errorf("%s.%s is not tried by TestRecordComesBackAsItWas", rv.Type(), rv.Type().Field(i).Name)
			}
		}
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save("a", Record{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, filepath.Join(dir, "a.json"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestNamesCannotLeadElsewhere(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	for _, name := range []string{"", ".", "..", "../lock", "a/b", "A", ".a", "a.json", "a\x00"} {
		_, _, load := s.Load(name)
		_, aside := s.SetAside(name)
		for _, err := range []error{s.Save(name, Record{}), load, s.Delete(name), aside} {
			if err == nil {
				t.Errorf("%q was taken for a build's name", name)
			}
		}
	}
}

func TestLaterVersionIsRefusedByNameAndLeftAlone(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	const later = `{"version": 2, "build": ["of another shape"]}`
	if err := os.WriteFile(s.file("a"), []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	_, found, err := s.Load("a")
	var e *VersionError
	if found || !errors.As(err, &e) || e.Version != 2 || e.File != s.file("a") {
		t.Fatalf("%v, %v", found, err)
	}
	if text := err.Error(); !strings.Contains(text, s.file("a")) || !strings.Contains(text, "version 2") {
		t.Errorf("says %s", text)
	}
	if b, err := os.ReadFile(s.file("a")); string(b) != later || err != nil {
		t.Errorf("changed to %q, %v", b, err)
	}
}

func TestLookBeforeAnUpgradeRefusesOnlyALaterVersionAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	if err := errors.Join(s.Save("a", full), os.WriteFile(s.file("broken"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(s.dir, ".a"+suffix+asideSuffix) // a running supervisor is writing it
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := Understood(s.dir); err != nil || len(all) != 1 || !reflect.DeepEqual(all["a"], full) {
		t.Errorf("%v, %v", all, err)
	}
	if err := os.WriteFile(s.file("later"), []byte(`{"version": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := Understood(s.dir)
	var later *VersionError
	if !errors.As(err, &later) || later.File != s.file("later") || all != nil {
		t.Errorf("with a record of a later version: %v, %v", all, err)
	}
	if _, err := os.Stat(half); err != nil {
		t.Errorf("what another writes was touched: %v", err)
	}
}

func TestFolderThatIsGoneIsSaidByWhoeverNeedsIt(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	if err := s.Save("a", full); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	_, all := s.All()
	_, aside := s.SetAside("a")
	for what, err := range map[string]error{"load": all, "save": s.Save("a", full), "set state of a aside": aside} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Delete("a"); err != nil {
		t.Errorf("to forget what is not there: %v", err)
	}
}

func TestUnknownKeysOfThisVersionArePassedOver(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	if err := os.WriteFile(s.file("a"), []byte(`{"version":1,"build":"a","weather":{"rain":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, found, err := s.Load("a"); !found || err != nil || r.Build != "a" {
		t.Errorf("%+v, %v, %v", r, found, err)
	}
}

func TestCorruptFileIsNamedAndSetAsideAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	for what, content := range map[string]string{
		"it is empty":              "",
		"it ends too early":        `{"version":1,"build":"a"`,
		"something follows":        `{"version":1} {"version":1}`,
		"version = 0":              `{"build":"a"}`,
		"invalid character":        "\x00\x00\x00\x00",
		"cannot unmarshal":         `{"version":1,"restarts":"seven"}`,
		"cannot unmarshal array":   `[]`,
		"it is longer than 4 MiB":  `{"version":1,"build":"` + strings.Repeat("a", maxBytes) + `"}`,
		"cannot unmarshal number ": `{"version":1,"generations":[{"start_time":-1}]}`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t)
			if err := errors.Join(s.Save("b", Record{}), os.WriteFile(s.file("a"), []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
			all, err := s.All()
			var e *CorruptError
			if !errors.As(err, &e) || e.File != s.file("a") || !strings.Contains(err.Error(), what) {
				t.Errorf("error %v", err)
			}
			if _, ok := all["b"]; !ok || len(all) != 1 {
				t.Errorf("all %v", all)
			}
			bad, err := s.SetAside("a")
			if err != nil || bad != filepath.Join(s.dir, "a.json.bad") {
				t.Fatal(bad, err)
			}
			if b, err := os.ReadFile(bad); string(b) != content || err != nil {
				t.Errorf("set aside as %.40q, %v", b, err)
			}
			if all, err := s.All(); len(all) != 1 || err != nil {
				t.Errorf("afterwards %v, %v", all, err)
			}
		})
	}
}

func TestFailedSaveKeepsTheRecordBefore(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	if err := s.Save("a", Record{Restarts: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, ".a.json.new"), 0o700); err != nil { // as a full disk: it cannot be written aside
		t.Fatal(err)
	}
	if err := s.Save("a", Record{Restarts: 2}); err == nil || !strings.Contains(err.Error(), "save state of a") {
		t.Errorf("save: %v", err)
	}
	if r, _, err := s.Load("a"); r.Restarts != 1 || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSameRecordIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	file := func() os.FileInfo {
		info, err := os.Stat(filepath.Join(s.dir, "a.json"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	save := func(n int) {
		if err := s.Save("a", consistent(n)); err != nil {
			t.Fatal(err)
		}
	}
	save(1)
	first := file()
	save(1)
	if !os.SameFile(first, file()) {
		t.Error("what was there already was written again")
	}
	save(2)
	if r, _, err := s.Load("a"); err != nil || !reflect.DeepEqual(r, consistent(2)) {
		t.Errorf("after another one %+v, %v", r, err)
	}
}

func TestWritersOfOneProcessDoNotMix(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				if err := s.Save("a", consistent(i)); err != nil {
					t.Error(err)
				}
				r, found, err := s.Load("a")
				if !found || err != nil || !reflect.DeepEqual(r, consistent(r.Restarts)) {
					t.Errorf("half a record: %v, %v", found, err)
				}
			}
		})
	}
	wg.Wait()
}

// consistent is a record all of which follows from n, and whose length varies.
func consistent(n int) Record {
	r := Record{Version: Version, Build: "a", Restarts: n, LastExit: strings.Repeat(strconv.Itoa(n%10), 1+n*7919%20000)}
	for i := range n % 50 {
		r.Generations = append(r.Generations, Generation{N: n + i, Role: "retiring"})
	}
	return r
}

// writeForEver saves one record after another and tells each that is on the disk.
func writeForEver(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	r, _, err := s.Load("a")
	for n := r.Restarts + 1; err == nil; n++ {
		if err = s.Save("a", consistent(n)); err == nil {
			_, err = fmt.Println(n)
		}
	}
	return err
}

func TestKilledWriterLeavesAWholeRecordAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	saved := 0 // the last that the writer was told is safe
	for round := range 25 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "STATE_TEST_WRITER="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := bufio.NewScanner(out)
		for range 1 + round%4 {
			if !told.Scan() {
				t.Fatal("the writer ended by itself")
			}
			saved, _ = strconv.Atoi(told.Text())
		}
		for range round * 97 { // somewhere else in a Save each time, up to some milliseconds in
			os.Lstat(dir)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for told.Scan() {
			saved, _ = strconv.Atoi(told.Text())
		}
		io.Copy(io.Discard, out)
		cmd.Wait() // it was killed

		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		r, found, err := s.Load("a")
		if !found || err != nil || !reflect.DeepEqual(r, consistent(r.Restarts)) {
			t.Fatalf("round %d: half a record: %v, %v", round, found, err)
		}
		if r.Restarts < saved || r.Restarts > saved+1 {
			t.Errorf("round %d: record %d, and %d was said to be safe", round, r.Restarts, saved)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("left %v, %v", entries, err)
		}
	}
	t.Logf("%d records, 25 kills", saved)
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"build":"a","bad":{"r":"x"},"generations":[{"n":1,"pid":2,"start_time":3}]}`,
		`{"version":2}`, `{"version":1e400}`, `{"version":1}{}`, `{"VERSION":1}`, `null`, `"x"`, "", "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := read("a.json", b)
		var corrupt *CorruptError
		var version *VersionError
		switch {
		case err == nil && r.Version != Version:
			t.Errorf("read version %d", r.Version)
		case err != nil && !errors.As(err, &corrupt) && !errors.As(err, &version):
			t.Errorf("error %v", err)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	s := mustOpen(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Save("a", full); err != nil {
			b.Fatal(err)
		}
	}
}
