package build

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// child is a Make in a process of its own, which can be killed as a supervisor is.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	lock  string
}

type childRequest struct {
	Request
	Stop string // the step before which it stops for good
	Lock string // a file that it locks, as a supervisor does
}

const childEnv = "BUILD_TEST_REQUEST"

// TestMakeInAProcessOfItsOwn is no test but what startChild starts.
func TestMakeInAProcessOfItsOwn(t *testing.T) {
	text := os.Getenv(childEnv)
	if text == "" {
		t.Skip("for other tests")
	}
	var r childRequest
	must(t, json.Unmarshal([]byte(text), &r))
	defer lockFile(t, r.Lock).Close()
	r.Progress = func(p Progress) {
		if p.Step == r.Stop && !p.Done {
			fmt.Println("stopped")
			_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		}
	}
	rel, _, err := New(Options{Runner: newRunner(t), Environ: os.Environ()}).Make(t.Context(), r.Request)
	fmt.Println("made", rel.ID, err)
}

// startChild starts one that stops before a step, or nowhere.
func (p *project) startChild(t *testing.T, stop string) *child {
	t.Helper()
	c := &child{
		cmd:  exec.Command(os.Args[0], "-test.run=^TestMakeInAProcessOfItsOwn$"),
		lock: filepath.Join(t.TempDir(), "lock"),
	}
	text, err := json.Marshal(map[string]any{"Root": p.root, "Build": p.Build, "Stop": stop, "Lock": c.lock})
	must(t, err)
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = os.Stderr
	_, err = c.cmd.StdinPipe()
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	c.lines = bufio.NewReader(out)
	must(t, c.cmd.Start())
	t.Cleanup(func() { c.kill(t) })
	return c
}

// says waits for the child's next line.
func (c *child) says(t *testing.T) string {
	t.Helper()
	line, err := c.lines.ReadString('\n')
	must(t, err)
	return line
}

// kill kills the process that builds with -9. What it started goes on. It returns as soon as
// another supervisor would start: what was forked just before holds the lock until it executes its
// program, and can be found from then on.
func (c *child) kill(t *testing.T) {
	t.Helper()
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()         // by the kill
	must(t, lockFile(t, c.lock).Close())
}

// lockFile waits for the lock of a file and takes it.
func lockFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	return f
}

func TestTidyAfterAKillAtAnyStep(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"settings", "copy", "environment", "install", "check", "migrate", "collectstatic", "compile"} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.CollectStatic = true
			p.fakePip(t, "") // another interpreter, so the environment is to be made
			c := p.startChild(t, stop)
			if line := c.says(t); line != "stopped\n" {
				t.Fatal(line)
			}
			c.kill(t)
			p.recovers(t)
		})
	}
}

func TestTidyEndsTheStepsOfAKilledBuild(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"install", "check", "collectstatic"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			hang := "if on('" + step + "'):\n  daemon()\n  if not os.path.exists(os.environ['MEDCTRL_DATA'] + '/recovered'): time.sleep(600)\n"
			p := newProject(t, daemon+hang)
			p.CollectStatic = true
			p.fakePip(t, "")
			if step == "install" {
				p.write(t, "pip.py", plainManage+daemon+"daemon()\ntime.sleep(600)\n")
				p.Env["ON_PIP"] = "[ -e $MEDCTRL_DATA/recovered ] || " + distribution + " " + filepath.Join(p.Source, "pip.py")
			}
			c := p.startChild(t, "")
			p.daemonStarted(t)
			c.kill(t)
			must(t, p.m.Tidy(p.root, p.Name))
			p.daemonGone(t)
			must(t, os.WriteFile(filepath.Join(p.data(), "recovered"), nil, 0o644))
			p.recovers(t)
		})
	}
}

func TestTidyLeavesAMigrationToItsEnd(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm'}")
	p.compiles(t)
	c := p.startChild(t, "")
	until(t, "the migration", p.migrating)
	c.kill(t)
	must(t, p.m.Tidy(p.root, p.Name))
	if left, err := leftovers(folderOf(p.root, p.Name)); err != nil || len(left) != 2 {
		t.Errorf("a folder of the one that migrates, or that of its temporary files, is gone: %v %v", left, err)
	}
	next := p.start(t)
	until(t, "the next to wait", p.waits)
	p.goOn(t)
	must(t, next.wait())
	if want := "check --deploy\ncheck --deploy\nmigrate --noinput\nmigrate --noinput\n"; p.did(t) != want {
		t.Errorf("manage.py did %q", p.did(t))
	}
	p.recovers(t)
}

// recovers asserts that Tidy leaves nothing half, and that a build can be made.
func (p *project) recovers(t *testing.T) {
	t.Helper()
	must(t, p.m.Tidy(p.root, p.Name))
	p.clean(t)
	r := p.request()
	r.Force = true
	rel, fresh, err := p.m.Make(t.Context(), r)
	if err != nil || !fresh {
		t.Errorf("%s, fresh %v, error %v", rel.ID, fresh, err)
	}
	p.clean(t)
}

// Whether one of them migrates cannot be known then.
func TestTidyRemovesNothingWhereProcessesCannotBeLookedFor(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	half := s.dir("releases", tempPrefix+rel1)
	must(t, os.MkdirAll(half, 0o755))
	if err := New(Options{Runner: refusing{}}).Tidy(s.root, "one"); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	if !exists(half) {
		t.Error("half a release was removed")
	}
	s.tidy()
	if exists(half) {
		t.Error("half a release is left")
	}
}

// Versions before marked all commands of an attempt alike, with the folder alone.
func TestTidyEndsWhatAnEarlierVersionStarted(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRunner(t)
	half, migrates := s.dir("releases", tempPrefix+rel1), s.dir("releases", tempPrefix+rel2)
	started := map[string]Process{}
	for _, dir := range []string{half, migrates} {
		must(t, os.MkdirAll(dir, 0o755))
		p, err := r.Start(Command{Argv: []string{"/bin/sleep", "1000"}, Mark: dir})
		must(t, err)
		started[dir] = p
		t.Cleanup(func() { end(p) })
	}
	lock := lockFile(t, filepath.Join(migrates, oldMigratesFile))
	defer lock.Close()
	s.tidy()
	<-started[half].Done()
	select {
	case <-started[migrates].Done():
		t.Error("a migration was ended")
	default:
	}
	if exists(half) || !exists(migrates) {
		t.Errorf("half a release is left: %v; that of the migration: %v", exists(half), exists(migrates))
	}
}
