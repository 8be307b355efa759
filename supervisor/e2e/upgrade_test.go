package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OwnProgram makes w run its own copy of the binary, which can be replaced.
func (w *World) OwnProgram() {
	w.t.Helper()
	w.Program = filepath.Join(w.Dir, "medctrl-supervisor")
	text, err := os.ReadFile(Binary(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	w.Install(text)
}

// Install puts another program in place of w's, as package managers do.
func (w *World) Install(text []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.Program+".new", text, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.Program+".new", w.Program); err != nil {
		w.t.Fatal(err)
	}
}

// descriptors returns how many descriptors the supervisor has open.
func (w *World) descriptors() int {
	w.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.Pid()))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(entries)
}

// Upgrade makes the supervisor replace itself, and asserts that it is the same process.
func (w *World) Upgrade() {
	w.t.Helper()
	out := w.MustCLI("upgrade")
	if want := fmt.Sprintf("upgraded from e2e to e2e, pid %d\n", w.Pid()); !strings.HasSuffix(out, want) {
		w.t.Fatalf("upgrade said %q, want %q at its end", out, want)
	}
}

func TestFiftyUpgradesCostNoRequestAndNoDescriptor(t *testing.T) {
	t.Parallel()
	const upgrades = 50
	w := tinyWorld(t)
	first := w.Serve("one")
	direct, front := w.Load("one", 100), w.FrontLoad("/one/", 100)
	direct.GoOn(t, calm)
	front.GoOn(t, calm)
	w.Upgrade() // descriptors that are opened once in a life are open after this
	before := w.WaitState("one", "running")
	count := w.descriptors()
	for range upgrades - 1 {
		w.Upgrade()
	}
	after := w.WaitState("one", "running")
	if after.Pid != first.Pid || after.Since != before.Since || after.Restarts != 0 || after.Release != first.Release {
		t.Errorf("after the upgrades %+v, before %+v", after, first)
	}
	Eventually(t, 10*time.Second, "as many descriptors as before", func() (bool, string) {
		now := w.descriptors()
		return now <= count, fmt.Sprintf("%d, after the first upgrade %d", now, count)
	})
	direct.GoOn(t, calm)
	front.GoOn(t, calm)
	for name, tr := range map[string]*Traffic{"socket": direct, "front": front} {
		r := tr.Stop()
		r.NoneLost(t)
		t.Logf("%d upgrades, %s: %v", upgrades, name, r)
	}
	// It still supervises: a dead process is replaced, and an edit is built.
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	w.SetBanner("one", "edited", RenameOver)
	w.WaitBanner("one", "edited")
	w.Stop()
}

func TestSignalUpgradesToo(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	before := w.Serve("one")
	w.Signal(syscall.SIGUSR2)
	Eventually(t, 30*time.Second, "the upgrade", func() (bool, string) {
		return strings.Contains(w.Log(), "supervisor was upgraded"), ""
	})
	if after := w.WaitState("one", "running"); after.Pid != before.Pid {
		t.Errorf("pid %d, before %d", after.Pid, before.Pid)
	}
}

func TestUpgradeThatCannotBeLeavesEverythingAsItIs(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.OwnProgram()
	good, err := os.ReadFile(w.Program)
	if err != nil {
		t.Fatal(err)
	}
	before := w.Serve("one")
	tr := w.FrontLoad("/one/", 50)
	for name, c := range map[string]struct{ program, want string }{
		"not a program":      {"junk", "exec format error"},
		"ends at once":       {"#!/bin/sh\necho no such library >&2\nexit 127\n", "no such library"},
		"another program":    {"#!/bin/sh\necho hello\n", "no supervisor that can take over"},
		"too old":            {"#!/bin/sh\necho '{\"Version\":\"0.1\",\"Handover\":0}'\n", "too old"},
		"accepts, then dies": {"#!/nowhere/sh\n", "no such file"},
	} {
		w.Install([]byte(c.program))
		_, errOut, code := w.CLI("upgrade")
		if code != 1 || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit %d, %q, want %q", name, code, errOut, c.want)
		}
	}
	// A program that accepts and cannot be executed: the last step fails, and is undone.
	if err := os.Remove(w.Program); err != nil {
		t.Fatal(err)
	}
	liar := "#!/bin/sh\nmv \"$0\" \"$0.gone\"\necho '{\"Version\":\"2\",\"Handover\":9}'\n"
	w.Install([]byte(liar))
	if _, errOut, code := w.CLI("upgrade"); code != 1 || !strings.Contains(errOut, "execute") {
		t.Errorf("a program that goes away: exit %d, %q", code, errOut)
	}
	if after := w.WaitState("one", "running"); after.Pid != before.Pid {
		t.Errorf("pid %d, before %d", after.Pid, before.Pid)
	}
	// An edit in the meantime is not lost, and the supervisor works as before.
	w.SetBanner("one", "edited", RenameOver)
	w.WaitBanner("one", "edited")
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	w.Install(good)
	w.Replace(w.File, "/one", "one", Overwrite)
	if _, errOut, code := w.CLI("upgrade"); code != 1 || !strings.Contains(errOut, "location") {
		t.Errorf("with a bad file: exit %d, %q", code, errOut)
	}
	w.WriteConfig()
	w.Replace(w.File, `root = "root"`, `root = "elsewhere"`, Overwrite)
	if _, errOut, code := w.CLI("upgrade"); code != 1 || !strings.Contains(errOut, "root changed from") {
		t.Errorf("with another root: exit %d, %q", code, errOut)
	}
	w.WriteConfig()
	w.Upgrade()
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
}

// In the middle of an attempt, an exchange, a drain, a backoff and a crash.
func TestUpgradeInTheMiddleOfAnythingCostsNoRequest(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(`graceful_timeout = "60s"`), Entry("two", "workers = 1", `restart_delay_max = "30s"`))
	dieWhenTold(w, "two")
	w.Serve("one", "two")
	tr, front := w.Load("one", 100), w.FrontLoad("/one/", 50)
	tr.GoOn(t, calm)
	t.Run("build", func(t *testing.T) {
		w.SetBanner("one", "built", RenameOver)
		w.WaitStatus("one", "a build", func(b BuildStatus) bool { return b.Building })
		w.Upgrade()
		w.WaitBanner("one", "built")
	})
	t.Run("exchange and drain", func(t *testing.T) {
		held := Begin(t, "unix", w.Socket("one"), "/stream") // keeps the old generation from ending
		for i := range 3 {
			banner := fmt.Sprint("exchanged", i)
			before := w.WaitState("one", "running")
			w.SetBanner("one", banner, RenameOver)
			w.WaitStatus("one", "another release", func(b BuildStatus) bool {
				return len(b.Releases) > 0 && b.Releases[len(b.Releases)-1] != before.Release
			})
			w.Upgrade()
			w.WaitBanner("one", banner)
			w.Upgrade()
		}
		w.Touch("one", "go")
		if line := held.Line(); line != "second\n" {
			t.Errorf("a request that was held throughout was answered %q", line)
		}
		w.Heal("one", "go")
	})
	t.Run("crash", func(t *testing.T) {
		for range 3 {
			old := w.KillMaster("one", syscall.SIGKILL)
			w.Upgrade()
			w.WaitPid("one", old)
			w.WaitState("one", "running")
		}
	})
	t.Run("backoff", func(t *testing.T) {
		w.Touch("two", "dead")
		w.KillTree("two", syscall.SIGKILL)
		w.WaitState("two", "backoff")
		refused := w.Load("two", 100)
		w.Upgrade()
		w.WaitState("two", "backoff")
		w.Upgrade()
		w.Heal("two", "dead")
		w.MustCLI("start", "two")
		w.WaitState("two", "running")
		refused.GoOn(t, calm)
		r := refused.Stop()
		r.NoneHung(t, 0)
		if r.By[Unavailable] == 0 {
			t.Errorf("nobody was refused in backoff: %v", r)
		}
	})
	tr.GoOn(t, calm)
	front.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	front.Stop().NoneLost(t)
}
