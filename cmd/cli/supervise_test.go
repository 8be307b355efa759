package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised is the program as it supervises, as a process of its own.
type supervised struct {
	d     *desk
	cmd   *exec.Cmd
	log   *transcript
	ended chan error
}

// supervise starts it and waits until it takes commands.
func (d *desk) supervise() *supervised {
	d.t.Helper()
	s := &supervised{d: d, cmd: exec.Command(filepath.Join(d.bin, programName), "-c", d.file), log: newTranscript(d.t), ended: make(chan error, 1)}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = d.dir, d.env(), s.log
	if err := s.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.cmd.Process.Kill() }) // it may have ended
	go func() { s.ended <- s.cmd.Wait() }()
	s.until("it takes commands", func(out string, code int) bool { return code == 0 })
	return s
}

// until waits for what `status` prints.
func (s *supervised) until(what string, is func(status string, code int) bool) {
	s.d.t.Helper()
	limit := time.After(60 * time.Second)
	for look := time.NewTicker(10 * time.Millisecond); ; <-look.C {
		out, _, code := s.d.run("status")
		if is(out, code) {
			return
		}
		select {
		case err := <-s.ended:
			s.d.t.Fatalf("%v: %s", err, s.log.since(0))
		case <-limit:
			s.d.t.Fatalf("waited for: %s; status %q; log %s", what, out, s.log.since(0))
		default:
		}
	}
}

func (s *supervised) stop() {
	s.d.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.d.t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			s.d.t.Errorf("%v: %s", err, s.log.since(0))
		}
	case <-time.After(60 * time.Second):
		s.d.t.Fatalf("it does not end: %s", s.log.since(0))
	}
}

func TestWithoutACommandItSupervisesUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.supervise()
	if out, _, _ := d.run("status"); !strings.HasPrefix(out, "supervisor test, up ") || !strings.HasSuffix(out, "\nNo builds.\n") {
		t.Error(out)
	}
	if out, _, code := d.run("status", "--json"); code != 0 || !strings.Contains(out, `"version": "test"`) {
		t.Errorf("exit %d, %s", code, out)
	}
	s.stop()
}

// An edit, however bad, leaves no host without a supervisor.
func TestBadFileAtAStartIsReplacedByItsLastGoodCopy(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.supervise().stop()
	for what, spoil := range map[string]func() error{
		"no TOML": func() error { return os.WriteFile(d.file, []byte("root = [\n"), 0o600) },
		"emptied": func() error { return os.Truncate(d.file, 0) },
		"deleted": func() error { return os.Remove(d.file) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s := d.supervise()
		s.until(what+": status says so", func(out string, code int) bool {
			return code == 0 && strings.Contains(out, "has mistakes")
		})
		d.write("builds.toml", "root = \"root\"\n[supervisor]\nlog_level = \"debug\"\n")
		s.until(what+": the fixed file is applied", func(out string, code int) bool {
			return code == 0 && !strings.Contains(out, "has mistakes")
		})
		s.stop()
	}
	// What was never good is refused.
	other := newDesk(t)
	other.write("builds.toml", "root = \"root\"\nrooot = 1\n")
	if _, said, code := other.run(); code != 1 || !strings.Contains(said, "builds.toml:2:1") {
		t.Errorf("exit %d: %s", code, said)
	}
}

// The root is what is wrong in the file: the copy lies in the one before.
func TestWrongRootAtAStartIsReplacedByTheLastGoodOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.supervise().stop()
	d.write("builds.toml", "root = \"rood\"\nmistake = 1\n")
	s := d.supervise()
	s.until("status says so", func(out string, code int) bool { return code == 0 && strings.Contains(out, "mistake") })
	s.stop()
}

func TestCommandsFindTheSupervisorWhoseFileHasAnotherRootByNow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.supervise()
	d.write("builds.toml", "root = \"elsewhere\"\n")
	s.until("status says what to do about the root", func(out string, code int) bool {
		return code == 0 && strings.Contains(out, "root changed")
	})
	s.stop()
}

func TestStatusFindsTheRunningSupervisorWhateverBecameOfItsFile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.supervise()
	link := filepath.Join(d.dir, "link")
	if err := os.Symlink(filepath.Dir(d.file), link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		spoil func() error
	}{
		{"emptied", func() error { return os.Truncate(d.file, 0) }},
		{"no TOML", func() error { return os.WriteFile(d.file, []byte("= [\x00"), 0o600) }},
		{"deleted", func() error { return os.Remove(d.file) }},
		{"a folder", func() error { return os.Mkdir(d.file, 0o700) }},
		{"a link to nothing", func() error { return errors.Join(os.Remove(d.file), os.Symlink("nowhere", d.file)) }},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		for _, named := range []string{d.file, filepath.Join(link, filepath.Base(d.file))} {
			var out, errOut strings.Builder
			code := Run(t.Context(), "test", []string{"-c", named, "status"}, strings.NewReader(""), &out, &errOut)
			if code != 0 || !strings.Contains(out.String(), "supervisor test, up ") || !strings.Contains(out.String(), "0 builds") {
				t.Errorf("%s, named %s: exit %d, %s%s", c.what, named, code, &out, &errOut)
			}
		}
	}
	s.stop()
}

// What the file names may be gone for a while, a file system that is not mounted say: the builds that
// do not need it are supervised all the same.
func TestFileThatNamesWhatIsGoneIsFollowedAsBefore(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	d.write("builds.toml", strings.Replace(d.read("builds.toml"), "\n[[build]]", "autostart = false\n\n[[build]]", 1))
	d.supervise().stop()
	for _, gone := range []string{"src/API/api_settings", "src/API/manage.py", "src/requirements.txt", "src", "bin/python3"} {
		path := filepath.Join(d.dir, gone)
		if err := os.Rename(path, path+".gone"); err != nil {
			t.Fatal(err)
		}
		s := d.supervise()
		s.until(gone+": status says so and lists the build", func(out string, code int) bool {
			return code == 0 && strings.Contains(out, "has mistakes") && strings.Contains(out, "development")
		})
		if err := os.Rename(path+".gone", path); err != nil {
			t.Fatal(err)
		}
		s.until(gone+" is back: the file is applied", func(out string, code int) bool {
			return code == 0 && !strings.Contains(out, "has mistakes")
		})
		s.stop()
	}
}

// Something is in the place of the control socket when it starts: it is moved aside.
func TestControlSocketIsMadeWhateverIsInItsPlace(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write("root/.supervisor/control.sock/kept", "")
	s := d.supervise()
	if _, err := os.Stat(d.socket() + ".aside/kept"); err != nil {
		t.Error(err)
	}
	s.stop()
}

// The reader of its log is gone, and then stands still: it supervises on and says so.
func TestLogThatNobodyReadsStopsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write("builds.toml", "root = \"root\"\n[supervisor]\nlog_level = \"debug\"\n")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &supervised{d: d, cmd: exec.Command(filepath.Join(d.bin, programName), "-c", d.file), log: newTranscript(t), ended: make(chan error, 1)}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = d.dir, d.env(), write
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.cmd.Process.Kill() // it may have ended
	write.Close()
	go func() { s.ended <- s.cmd.Wait() }()
	s.until("it takes commands", func(_ string, code int) bool { return code == 0 })
	read.Close()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil { // something to log
		t.Fatal(err)
	}
	s.until("status says that the log cannot be written", func(out string, code int) bool {
		return code == 0 && strings.Contains(out, "log: the log cannot be written")
	})
	s.stop()
}
