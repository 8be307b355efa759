package cli

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The whole program, on a file without builds: it needs neither gunicorn nor root.
func TestWithoutACommandItSupervisesUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file)
	log := newTranscript(t)
	cmd.Dir, cmd.Env, cmd.Stderr = d.dir, d.env(), log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill() // it may have ended
	limit := time.After(60 * time.Second)
	for look := time.NewTicker(10 * time.Millisecond); ; <-look.C {
		if out, _, code := d.run("status"); code == 0 {
			if !strings.HasPrefix(out, "0 builds, supervisor test, up ") || !strings.HasSuffix(out, "\nNo builds.\n") {
				t.Error(out)
			}
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("%v: %s", err, log.since(0))
		case <-limit:
			t.Fatalf("no status: %s", log.since(0))
		default:
		}
	}
	if out, _, code := d.run("status", "--json"); code != 0 || !strings.Contains(out, `"version": "test"`) {
		t.Errorf("exit %d, %s", code, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%v: %s", err, log.since(0))
		}
	case <-limit:
		t.Fatalf("it does not end: %s", log.since(0))
	}
}
