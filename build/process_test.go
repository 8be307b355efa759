package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// daemon leaves a process in a session of its own, with all open files, and writes its pid to
// data/daemon.
const daemon = `
def daemon():
    if os.fork():
        return
    os.setsid()
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    name = os.path.join(os.environ["MEDCTRL_DATA"], "daemon")
    with open(name + ".new", "w") as f:
        f.write(str(os.getpid()))
    os.rename(name + ".new", name)
    time.sleep(600)
    os._exit(0)
`

func (p *project) daemonStarted(t *testing.T) {
	t.Helper()
	until(t, "the daemon", func() bool { return exists(filepath.Join(p.data(), "daemon")) })
}

func (p *project) daemonGone(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.data(), "daemon"))
	pid, perr := strconv.Atoi(string(text))
	if err != nil || perr != nil {
		t.Fatal(err, perr)
	}
	until(t, "the end of the daemon", func() bool {
		stat, err := os.ReadFile("/proc/" + string(text) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) != nil
	})
}

func TestCancelEndsWhatLeftTheGroup(t *testing.T) {
	t.Parallel()
	p := newProject(t, daemon+"\ndaemon()\ntime.sleep(600)")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		p.daemonStarted(t)
		cancel()
	}()
	if _, _, err := p.m.Make(ctx, p.request()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.daemonGone(t)
	p.clean(t)
}

func TestDaemonOfAStepHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"command returns": "", "command exits": "os._exit(0)", "command fails": "sys.exit(3)"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, daemon+"\nif on('check'):\n  daemon()\n  while not os.path.exists(os.environ['MEDCTRL_DATA']+'/daemon'): time.sleep(0.01)\n  "+end)
			_, _, err := p.m.Make(t.Context(), p.request())
			if failed := strings.Contains(name, "fails"); (err != nil) != failed {
				t.Error(err)
			}
			p.daemonGone(t)
			p.clean(t)
		})
	}
}

func TestStepThatTakesTooLongIsEnded(t *testing.T) {
	t.Parallel()
	p := newProject(t, "import signal\nsignal.signal(signal.SIGTERM, lambda *_: did('told'))\nif on('migrate'):\n  while True: time.sleep(600)")
	p.StepTimeout = 2 * time.Second
	p.environment(t)
	begun := time.Now()
	step := p.failed(t)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if step.Step != "migrate" {
		t.Error(step.Step)
	}
	contains(t, step.Error(), "step_timeout", "2s")
	contains(t, p.did(t), "told")
	p.clean(t)
}

func TestCommandThatEndsItsProcessIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	p := newProject(t, "did(' '.join(sys.argv[1:]))\nsys.stdout.flush()\nos._exit(0)")
	p.CollectStatic = true
	p.made(t)
	if want := "check --deploy\nmigrate --noinput\ncollectstatic --noinput\n"; p.did(t) != want {
		t.Errorf("manage.py did %q", p.did(t))
	}
}

func TestMigrationsOfOneDatabaseNeverRunAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
if on('migrate'):
    path = os.path.join(os.environ["MEDCTRL_DATA"], "..", "..", "migrating")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    time.sleep(0.3)
    os.unlink(path)
`)
	other := p.second(t)
	done := make(chan error, 2)
	for _, r := range []Request{p.request(), other.request()} {
		go func() {
			_, _, err := p.m.Make(t.Context(), r)
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWaitingForAnotherMigrationCanBeCancelled(t *testing.T) {
	t.Parallel()
	p := newProject(t, "if on('migrate'): time.sleep(600)")
	other := p.second(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	migrating, done := make(chan struct{}), make(chan struct{})
	first := p.request()
	first.Irreversible = func() { close(migrating) }
	go func() {
		defer close(done)
		_, _, err := p.m.Make(ctx, first)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	<-migrating
	second, stop := context.WithCancel(t.Context())
	defer stop()
	r := other.request()
	r.Irreversible = func() { t.Error("the second migration began beside the first") }
	go func() {
		until(t, "the second to wait", func() bool {
			log, _ := readLog(p.root, "two") // there may be none yet
			return strings.Contains(string(log), "another migration")
		})
		stop()
	}()
	if _, _, err := p.m.Make(second, r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	other.clean(t)
	cancel()
	<-done
	p.clean(t)
}

// The rest of its group, what left the group, and what was stopped.
func TestStepThatHangsInAnyWayIsEndedAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ step, hang string }{
		"child in its group":   {"check", "subprocess.run(['sleep', '600'])"},
		"child that left it":   {"migrate", "subprocess.Popen(['sleep', '600'], start_new_session=True).wait()"},
		"stopped":              {"collectstatic", "os.kill(os.getpid(), 19)"},
		"deaf to what is sent": {"check", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); time.sleep(600)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "if on('"+c.step+"'):\n  "+c.hang)
			p.CollectStatic, p.StepTimeout = true, 3*time.Second
			p.environment(t)
			step := p.failed(t)
			if step.Step != c.step {
				t.Error(step)
			}
			contains(t, step.Error(), "step_timeout", "3s")
			p.clean(t)
		})
	}
}

func TestCancelEndsAnInstallAsAWhole(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	good := p.made(t)
	p.write(t, "pip.py", plainManage+daemon+"daemon()\ntime.sleep(600)\n")
	p.fakePip(t, distribution+" "+filepath.Join(p.Source, "pip.py"))
	b := p.start(t)
	p.daemonStarted(t)
	b.cancel()
	if err := b.wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.daemonGone(t)
	p.clean(t)
	if all, err := List(p.root, p.Name); err != nil || len(all) != 1 || all[0].ID != good.ID {
		t.Errorf("releases %+v %v", all, err)
	}
}

func TestThreadThatIsForgottenHoldsUpNoBuild(t *testing.T) {
	t.Parallel()
	p := newProject(t, "import threading\nthreading.Thread(target=time.sleep, args=[3600]).start()")
	p.StepTimeout = time.Hour
	b := p.start(t)
	until(t, "the build", b.ended)
	must(t, b.wait())
	p.clean(t)
}

func TestCommandsBeginAlikeWhateverTheOneBeforeDid(t *testing.T) {
	t.Parallel()
	p := newProject(t, "mask = os.umask(0)\ndid('%04o %s' % (mask, os.getcwd() == sys.path[0]))\nos.chdir('/')")
	p.CollectStatic = true
	p.made(t)
	if want := "0027 True\ncheck --deploy\n0027 True\nmigrate --noinput\n0027 True\ncollectstatic --noinput\n"; p.did(t) != want {
		t.Errorf("manage.py did %q", p.did(t))
	}
}
