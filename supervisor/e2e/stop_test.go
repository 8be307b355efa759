package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Requests sent before the stop are answered, later ones find no socket, and nothing is left.
func TestStopAnswersWhatIsUnderWayAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("threads = 4"), Entry("two"))
	w.Serve("one", "two")
	loads := []*Traffic{
		StartLoad(t, Load{Network: "unix", Addr: w.Socket("one"), Path: "/slow?ms=500", Rate: 10}),
		w.Load("two", 100),
		w.FrontLoad("/two/", 50),
	}
	for _, tr := range loads {
		tr.GoOn(t, calm)
	}
	stopped := make([]time.Duration, len(loads))
	for i, tr := range loads {
		stopped[i] = tr.Now()
	}
	w.Signal(syscall.SIGTERM)
	if code := w.WaitEnd(20 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	for _, name := range []string{"one", "two"} {
		if _, err := os.Lstat(w.Socket(name)); !os.IsNotExist(err) {
			t.Errorf("the public socket of %s after the stop: %v", name, err)
		}
	}
	if left := w.Processes(); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	for i, tr := range loads {
		r := tr.Stop()
		var before []Shot
		for _, s := range r.Shots {
			// A request takes a moment from when it is sent into the socket's queue.
			if s.Due+s.Late+20*time.Millisecond < stopped[i] {
				before = append(before, s)
			}
		}
		summarise(before).NoneLost(t)
		if tr.load.Network == "tcp" {
			// the kernel resets clients that have connected to the front and were not accepted yet
			continue
		}
		if turnedAway := r.By[Missing] + r.By[Refused]; r.Lost() != turnedAway {
			t.Errorf("a stop may turn clients away, but must not drop any half-way: %v", r)
		}
	}
}

func TestStopAndStartByCommandTouchTheOneBuildOnly(t *testing.T) {
	t.Parallel()
	w := twoTiny(t)
	first := w.Serve("two", "one").Pid
	tr := w.Load("two", 100)
	tr.GoOn(t, calm)
	w.MustCLI("stop", "one")
	b := w.WaitState("one", "stopped")
	if b.Pid != 0 || b.Healthy || !strings.Contains(b.Reason, "stopped by hand") {
		t.Errorf("status after stop: %+v, want nothing running and who stopped it", b)
	}
	if _, err := os.Lstat(w.Socket("one")); !os.IsNotExist(err) {
		t.Errorf("the public socket of a stopped build: %v", err)
	}
	answer := MustAsk(t, "tcp", w.Front, "/one/")
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); answer.Status != 503 || err != nil || seconds < 1 {
		t.Errorf("the front answers %d, Retry-After %q for a stopped build", answer.Status, answer.Header.Get("Retry-After"))
	}
	w.MustCLI("start", "one")
	if answer := MustAsk(t, "unix", w.Socket("one"), "/"); answer.Status != 200 {
		t.Errorf("answered %d after start", answer.Status)
	}
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	if b := w.WaitState("two", "running"); b.Pid != first {
		t.Errorf("the other build's master is %d, was %d", b.Pid, first)
	}
}

func TestSecondSignalEndsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Serve("one")
	Begin(t, "unix", w.Socket("one"), "/stream") // never ends: data/go does not exist
	w.Signal(syscall.SIGTERM)
	w.WaitStatus("one", "state stopping", func(b BuildStatus) bool { return b.State == "stopping" })
	w.Signal(syscall.SIGINT)
	begun := time.Now()
	w.WaitEnd(20 * time.Second) // graceful_timeout is 30 s
	if left := w.Processes(); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if _, err := os.Lstat(w.Socket("one")); !os.IsNotExist(err) {
		t.Errorf("the public socket after the stop: %v", err)
	}
	t.Logf("ended %v after the second signal", time.Since(begun).Round(time.Millisecond))
}

func TestRequestThatOutlastsTheGracefulTimeoutDoesNotHoldTheStop(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(`graceful_timeout = "1s"`))
	w.Serve("one")
	Begin(t, "unix", w.Socket("one"), "/stream")
	w.Signal(syscall.SIGTERM)
	begun := time.Now()
	if code := w.WaitEnd(20 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(begun); took < 900*time.Millisecond {
		t.Errorf("ended after %v, want the graceful timeout of 1 s to be granted", took)
	}
}

func TestSecondSupervisorOfARootIsRefused(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	first := w.Serve("one").Pid
	_, stderr, code := w.CLI()
	if want := fmt.Sprintf("pid %d", w.Pid()); code != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, w.Root) {
		t.Errorf("exit code %d, %q, want 1, %q and the root", code, stderr, want)
	}
	if b := w.WaitState("one", "running"); b.Pid != first {
		t.Errorf("the master is %d, was %d", b.Pid, first)
	}
	// The lock does not outlive its holder.
	w.Stop()
	w.Serve("one")
}
