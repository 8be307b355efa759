package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stroke is a kind of fault. do returns false where it cannot be done now.
type stroke struct {
	weight int
	do     func(c *chaos, build string) bool
}

var strokes = []stroke{
	{6, (*chaos).killWorker},
	{5, (*chaos).killMaster},
	{4, (*chaos).killTree},
	{3, (*chaos).stopWorker},
	{2, (*chaos).stopTree},
	{3, (*chaos).killBeside},
	{5, (*chaos).killSupervisor},
	{3, (*chaos).stopSupervisor},
	{1, (*chaos).endSupervisor},
	{4, (*chaos).upgrade},
	{3, (*chaos).stopByCommand},
	{4, (*chaos).byCommand},
	{6, (*chaos).edit},
	{4, (*chaos).editFile},
	{3, (*chaos).breakFile},
	{5, (*chaos).breakRelease},
	{4, (*chaos).takeName},
	{4, (*chaos).removeOwn},
	{3, (*chaos).removeOfBuild},
	{2, (*chaos).fillDisk},
	{2, (*chaos).readOnlyDisk},
	{3, (*chaos).blockLog},
	{2, (*chaos).reloadNginx},
	{1, (*chaos).restartNginx},
	{3, (*chaos).jump},
	{2, (*chaos).loseDatabase},
}

// strike does one thing that can be done now.
func (c *chaos) strike() {
	total := 0
	for _, s := range strokes {
		total += s.weight
	}
	for range 100 {
		n, build := c.dice.IntN(total), chaosBuilds[c.dice.IntN(len(chaosBuilds))]
		for _, s := range strokes {
			if n -= s.weight; n < 0 {
				if s.do(c, build) {
					return
				}
				break
			}
		}
	}
}

// noted begins a fault.
func (c *chaos) noted(kind, build, note string) *fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &fault{N: len(c.faults) + 1, Kind: kind, Build: build, At: time.Now(), Note: note}
	c.faults = append(c.faults, f)
	return f
}

// over ends it.
func (c *chaos) over(f *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.Until = time.Now()
}

// take reserves something for a fault, unless another one has it.
func (c *chaos) take(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[what] {
		return false
	}
	c.busy[what] = true
	return true
}

func (c *chaos) has(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[what]
}

func (c *chaos) free(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, what)
}

// between is a random time.
func (c *chaos) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.dice.Int64N(int64(most-least)))
}

func pick[T any](c *chaos, all []T) T { return all[c.dice.IntN(len(all))] }

// of lists the processes of a build whose command has a word, without asking the supervisor.
func (c *chaos) of(build, word string) []Process {
	return slices.DeleteFunc(c.Processes(), func(p Process) bool {
		return !strings.Contains(p.Command, word) || !strings.Contains(readAll(fmt.Sprintf("/proc/%d/environ", p.Pid)), "MEDCTRL_BUILD="+build+"\x00")
	})
}

// servers are the masters of a build, and all workers.
func (c *chaos) servers(build string) (masters, workers []Process) {
	all := c.of(build, "gunicorn")
	numbers := pids(all)
	for _, p := range all {
		if slices.Contains(numbers, p.Parent) {
			workers = append(workers, p)
		} else {
			masters = append(masters, p)
		}
	}
	return masters, workers
}

// hit signals processes, and notes that, for what is lost with them.
func (c *chaos) hit(f *fault, victims []Process, sig syscall.Signal) {
	for _, p := range victims {
		c.hurt[p.Pid] = append(c.hurt[p.Pid], hurt{f, time.Now(), sig})
	}
	KillAll(c.t, victims, sig)
}

func (c *chaos) killWorker(build string) bool {
	_, workers := c.servers(build)
	if len(workers) == 0 {
		return false
	}
	victim := pick(c, workers)
	c.hit(c.noted("kill -9 of a worker", build, ""), []Process{victim}, syscall.SIGKILL)
	return true
}

func (c *chaos) killMaster(build string) bool {
	masters, _ := c.servers(build)
	if len(masters) == 0 {
		return false
	}
	victim := pick(c, masters)
	c.hit(c.noted("kill -9 of a master", build, ""), []Process{victim}, syscall.SIGKILL)
	return true
}

func (c *chaos) killTree(build string) bool {
	masters, _ := c.servers(build)
	if len(masters) == 0 {
		return false
	}
	victims := Tree(pick(c, masters).Pid)
	c.hit(c.noted("kill -9 of a tree", build, ""), victims, syscall.SIGKILL)
	return true
}

func (c *chaos) stopWorker(build string) bool {
	_, workers := c.servers(build)
	if len(workers) == 0 {
		return false
	}
	return c.freeze("SIGSTOP of a worker", build, []Process{pick(c, workers)})
}

func (c *chaos) stopTree(build string) bool {
	masters, _ := c.servers(build)
	if len(masters) == 0 {
		return false
	}
	return c.freeze("SIGSTOP of a tree", build, Tree(pick(c, masters).Pid))
}

func (c *chaos) freeze(kind, build string, victims []Process) bool {
	d := c.between(500*time.Millisecond, 12*time.Second)
	c.hit(c.noted(kind, build, fmt.Sprintf(" for %v", d.Round(time.Millisecond))), victims, syscall.SIGSTOP)
	c.after(d, func() bool {
		KillAll(c.t, victims, syscall.SIGCONT)
		return true
	})
	return true
}

func (c *chaos) killBeside(build string) bool {
	found := c.of(build, "chaos_process.py")
	if len(found) == 0 {
		return false
	}
	c.hit(c.noted("kill -9 of a process or a schedule's run", build, ""), []Process{pick(c, found)}, syscall.SIGKILL)
	return true
}

// next starts a supervisor once the one before has ended, after a while.
func (c *chaos) next(f *fault, d time.Duration, code int) {
	ended := c.ended
	c.after(d, func() bool {
		select {
		case <-ended:
		default:
			return false
		}
		if got := c.WaitEnd(time.Second); got != code {
			c.complain("%v: the supervisor ended with exit code %d, want %d", f, got, code)
		}
		c.launch()
		c.free("supervisor")
		c.after(0, func() bool {
			if _, err := Ask("unix", filepath.Join(c.Root, ".supervisor", "control.sock"), "/v1/status"); err != nil && !c.has("supervisor") {
				return false
			}
			c.over(f)
			return true
		})
		return true
	})
}

func (c *chaos) killSupervisor(string) bool {
	if !c.take("supervisor") {
		return false
	}
	f := c.noted("kill -9 of the supervisor", "", "")
	c.Signal(syscall.SIGKILL)
	c.next(f, c.between(0, 2*time.Second), -1)
	return true
}

// endSupervisor is a `systemctl restart`: the service manager keeps the sockets.
func (c *chaos) endSupervisor(string) bool {
	if !c.take("supervisor") {
		return false
	}
	f := c.noted("SIGTERM of the supervisor, and its start", "", "")
	c.Signal(syscall.SIGTERM)
	c.next(f, 0, 0)
	return true
}

func (c *chaos) stopSupervisor(string) bool {
	if !c.take("supervisor") {
		return false
	}
	d := c.between(500*time.Millisecond, 3*time.Second)
	f := c.noted("SIGSTOP of the supervisor", "", fmt.Sprintf(" for %v", d.Round(time.Millisecond)))
	c.Signal(syscall.SIGSTOP)
	c.after(d, func() bool {
		c.Signal(syscall.SIGCONT)
		c.free("supervisor")
		c.over(f)
		return true
	})
	return true
}

func (c *chaos) upgrade(string) bool {
	if c.has("supervisor") {
		return false
	}
	if c.dice.IntN(2) == 0 {
		c.noted("upgrade in place", "", " by SIGUSR2")
		c.Signal(syscall.SIGUSR2)
		return true
	}
	c.noted("upgrade in place", "", " by command")
	// It fails where the supervisor is killed meanwhile.
	c.calls.Go(func() { _ = c.order("upgrade") })
	return true
}

func (c *chaos) stopByCommand(build string) bool {
	if c.has("supervisor") || !c.take("serve "+build) {
		return false
	}
	f := c.noted("stop and start by command", build, "")
	d := c.between(0, 3*time.Second)
	c.calls.Go(func() {
		defer c.free("serve " + build)
		defer c.over(f)
		for _, command := range []string{"stop", "start"} {
			var err error
			for range 100 { // the supervisor may be killed meanwhile, or its disk be full
				if err = c.order(command, build); err == nil {
					break
				}
				pause(200 * time.Millisecond)
			}
			if err != nil {
				c.complain("%v: %v", f, err)
			}
			pause(d)
			d = 0
		}
	})
	return true
}

func (c *chaos) byCommand(build string) bool {
	if c.has("supervisor") || c.has("serve "+build) {
		return false
	}
	command := pick(c, []string{"restart", "rebuild", "deploy", "reload", "run"})
	args := []string{command, build}
	switch command {
	case "reload":
		args = args[:1]
	case "run":
		args = append(args, "/bin/true")
	}
	c.noted(command+" by command", build, "")
	// It fails where the supervisor is killed meanwhile, the file is bad, or the release cannot be.
	c.calls.Go(func() { _ = c.order(args...) })
	return true
}

func (c *chaos) anySave() Save { return pick(c, []Save{Overwrite, RenameOver, SwapLink}) }

// renew has a build wish for another banner.
func (c *chaos) renew(build, kind string) {
	c.wishes[build].banner = fmt.Sprintf("%s-%s-%d", kind, build, len(c.faults)+1)
}

func (c *chaos) edit(build string) bool {
	if c.has("settings " + build) {
		return false
	}
	c.renew(build, "good")
	c.noted("edit of the settings", build, "")
	c.save(build, c.anySave())
	return true
}

func (c *chaos) editFile(build string) bool {
	if c.has("file") {
		return false
	}
	w := c.wishes[build]
	w.workers = 5 - w.workers
	c.noted("edit of builds.toml", build, fmt.Sprintf(": %d workers", w.workers))
	c.configure(c.anySave())
	return true
}

func (c *chaos) breakFile(string) bool {
	if !c.take("file") {
		return false
	}
	f := c.noted("broken builds.toml, and its fix", "", "")
	text := pick(c, []string{"[[build]\n", "", c.Config() + "\nworkers = \"two\"\n", strings.Replace(c.Config(), `source = "app"`, `source = "nowhere"`, 1)})
	if err := c.anySave()(c.File, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
	c.after(c.between(500*time.Millisecond, 5*time.Second), func() bool {
		c.configure(c.anySave())
		c.free("file")
		c.over(f)
		return true
	})
	return true
}

func (c *chaos) breakRelease(build string) bool {
	if !c.take("settings " + build) {
		return false
	}
	w := c.wishes[build]
	c.renew(build, "bad")
	w.bad = pick(c, []string{
		"raise RuntimeError('broken on purpose')", "def (", "import no_such_module", "import sys; sys.exit(3)",
		`ROOT_URLCONF = "nowhere.urls"`, `MIDDLEWARE = ["nowhere.at.all"]`, "import os; os.kill(os.getpid(), 9)",
	})
	f := c.noted("broken release, and its fix", build, ": "+w.bad)
	c.save(build, c.anySave())
	c.after(c.between(time.Second, 12*time.Second), func() bool {
		w.bad = ""
		c.renew(build, "good")
		c.save(build, c.anySave())
		c.free("settings " + build)
		c.over(f)
		return true
	})
	return true
}

// takeName takes a socket's name away from the supervisor.
func (c *chaos) takeName(build string) bool {
	if c.has("serve "+build) || c.has("root") || !c.take("name "+build) {
		return false
	}
	path := c.Socket(build)
	how, err := c.dice.IntN(3), error(nil)
	f := c.noted("deleted socket", build, []string{"", ": it was renamed", ": another one has its name"}[how])
	switch how {
	case 0:
		err = os.Remove(path)
	case 1:
		err = os.Rename(path, path+".away")
	case 2:
		aside := path + ".other"
		if err := os.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Fatal(err)
		}
		listenRaw(c.t, aside, 8, true)
		err = os.Rename(aside, path)
	}
	if err != nil { // it has none just now
		f.Note += ": " + err.Error()
	}
	c.calls.Go(func() {
		defer c.free("name " + build)
		defer c.over(f)
		for range 20000 {
			if conn, err := net.Dial("unix", path); err == nil {
				conn.Close()
				return
			}
			pause(3 * time.Millisecond)
		}
		c.complain("%v: nobody listens there after a minute", f)
	})
	return true
}

// removeOwn removes something that the supervisor keeps for itself.
func (c *chaos) removeOwn(string) bool {
	if !c.take("root") {
		return false
	}
	what := pick(c, []string{"lock", "id", "control.sock", "builds.toml", "state/one.json", "state", "events", ""})
	f := c.noted("deleted folder or file of the supervisor's", "", ": .supervisor/"+what)
	if err := os.RemoveAll(filepath.Join(c.Root, ".supervisor", what)); err != nil {
		f.Note += ": " + err.Error() // it was being made again
	}
	c.free("root")
	return true
}

// removeOfBuild removes something of a build's folder, which is then made again.
func (c *chaos) removeOfBuild(build string) bool {
	if c.has("root") || !c.take("folder "+build) {
		return false
	}
	what := pick(c, []string{"run", "current", "releases", "venvs", ""})
	if what == "" && !c.take("name "+build) {
		c.free("folder " + build)
		return false
	}
	f := c.noted("deleted folder", build, ": "+filepath.Join(build, what))
	if err := os.RemoveAll(filepath.Join(c.Root, build, what)); err != nil {
		f.Note += ": " + err.Error() // it was being made again
	}
	c.after(0, func() bool {
		// A release whose folder is gone goes on serving, but what is started of it does not.
		_, err := os.Stat(filepath.Join(c.Root, build, "current", "API"))
		venvs, _ := filepath.Glob(filepath.Join(c.Root, build, "venvs", "*", "bin", "python"))
		if err != nil || len(venvs) == 0 || c.has("supervisor") {
			return false
		}
		s, err := c.Status()
		if b := s.Build(build); err != nil || b.State != "running" && b.State != "stopped" || b.Building {
			return false
		}
		c.over(f)
		c.free("folder " + build)
		if what == "" {
			c.free("name " + build)
		}
		return true
	})
	return true
}

func (c *chaos) fillDisk(string) bool {
	if c.disk == nil || !c.take("root") {
		return false
	}
	f := c.noted("full disk", "", "")
	filler := filepath.Join(c.Root, "filler")
	file, err := os.Create(filler)
	if err != nil {
		c.t.Fatal(err)
	}
	at := int64(0)
	for size := int64(1 << 26); size >= 1<<12; size /= 2 {
		for err == nil {
			if err = syscall.Fallocate(int(file.Fd()), 0, at, size); err == nil {
				at += size
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			c.t.Fatal(err)
		}
		err = nil
	}
	if err := file.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.after(c.between(time.Second, 8*time.Second), func() bool {
		if err := os.Remove(filler); err != nil {
			c.t.Fatal(err)
		}
		c.free("root")
		c.over(f)
		return true
	})
	return true
}

func (c *chaos) readOnlyDisk(string) bool {
	if c.disk == nil || !c.take("root") {
		return false
	}
	if exec.Command("mount", "-o", "remount,bind,ro", c.Root).Run() != nil { // something is just being written
		c.free("root")
		return false
	}
	f := c.noted("read-only disk", "", "")
	c.after(c.between(time.Second, 8*time.Second), func() bool {
		c.disk.run("mount", "-o", "remount,bind,rw", c.Root)
		c.free("root")
		c.over(f)
		return true
	})
	return true
}

func (c *chaos) blockLog(string) bool {
	if !c.take("log") {
		return false
	}
	d := c.between(time.Second, 10*time.Second)
	f := c.noted("blocked log of the supervisor", "", fmt.Sprintf(" for %v", d.Round(time.Millisecond)))
	c.log.mu.Lock()
	c.after(d, func() bool {
		c.log.mu.Unlock()
		c.free("log")
		c.over(f)
		return true
	})
	return true
}

func (c *chaos) reloadNginx(string) bool {
	c.noted("reload of Nginx", "", "")
	if err := c.master.Process.Signal(syscall.SIGHUP); err != nil {
		c.t.Fatal(err)
	}
	return true
}

func (c *chaos) restartNginx(string) bool {
	f := c.noted("restart of Nginx", "", "")
	c.endNginx()
	c.startNginx()
	c.over(f)
	return true
}

func (c *chaos) jump(string) bool {
	if c.Program == "" || !c.take("clock") {
		return false
	}
	off := pick(c, []time.Duration{-year, -time.Hour, -5 * time.Second, 5 * time.Second, time.Hour, year})
	f := c.noted("jump of the supervisor's clock, and back", "", fmt.Sprintf(" by %v", off))
	c.SetClock(off)
	c.after(c.between(time.Second, 8*time.Second), func() bool {
		c.SetClock(0)
		c.free("clock")
		c.over(f)
		return true
	})
	return true
}

// loseDatabase has a build need its database while that is away.
func (c *chaos) loseDatabase(string) bool {
	if c.has("settings two") || !c.take("database") {
		return false
	}
	f := c.noted("database that goes away while a release is made", "two", "")
	c.closeDatabase()
	c.renew("two", "good")
	c.save("two", c.anySave())
	c.after(c.between(2*time.Second, 10*time.Second), func() bool {
		c.serveDatabase()
		c.free("database")
		c.over(f)
		return true
	})
	return true
}
