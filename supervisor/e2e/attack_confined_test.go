package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fifth runs Python code in a build that has a sandbox and no user, as root then, and returns what it says.
func (a *arena) fifth(code string) string {
	a.t.Helper()
	source := filepath.Join(a.Dir, "app5")
	if _, err := os.Lstat(source); err != nil {
		err := errors.Join(os.CopyFS(source, os.DirFS("testdata/project")), os.WriteFile(filepath.Join(source, "requirements.txt"), []byte(ownRequirements()), 0o644),
			os.Rename(filepath.Join(source, "API/api_settings/settings/deploy_two.py"), filepath.Join(source, "API/api_settings/settings/deploy_five.py")))
		if err != nil {
			a.t.Fatal(err)
		}
		a.adds(Entry("five", `source = "app5"`, "workers = 1", light, "[build.sandbox]", "enabled = true"))
		a.WaitState("five", "running")
	}
	out, said, _ := a.CLI("run", "five", "python", "-c", code)
	return strings.TrimSpace(out + said)
}

// inRun is an attempt by code that is run by hand in a build.
func inRun(build, what string, code func(*arena) string, refused string) attempt {
	return attempt{by: ownCode, what: what, refused: refused, try: func(a *arena) string {
		a.fourth()
		out, said, _ := a.CLI("run", build, "python", "-c", code(a))
		return strings.TrimSpace(out + said)
	}}
}

func attemptsInABox() []attempt {
	asRoot := func(what string, code func(*arena) string, refused string) attempt {
		return attempt{by: ownCode, what: what + " as root in a box", refused: refused, try: func(a *arena) string { return a.fifth(code(a)) }}
	}
	text := func(code string) func(*arena) string { return func(*arena) string { return code } }
	below := func(format string, parts ...string) func(*arena) string {
		return func(a *arena) string {
			return fmt.Sprintf(format, filepath.Join(append([]string{a.Root}, parts...)...))
		}
	}
	return []attempt{
		asRoot("reads the password file", text(reads("/etc/shadow")), forbidden),
		asRoot("writes below /etc", text("open('/etc/medctrl-attack', 'w')"), forbidden),
		asRoot("reads the settings of another build", below("print(open(%q).read())", "two/current/API/api_settings/settings/deploy_two.py"), forbidden),
		asRoot("reads the environment file of another build", func(a *arena) string { return reads(filepath.Join(a.Dir, "two.env")) }, forbidden),
		asRoot("writes into its own release", below("open(%q, 'a')", "five/current/API/manage.py"), forbidden),
		asRoot("reads the supervisor's record", below("print(open(%q).read())", ".supervisor/state/two.json"), forbidden),
		asRoot("commands the supervisor", below("import socket; s = socket.socket(socket.AF_UNIX); s.connect(%q); print(s.recv(200))", ".supervisor/control.sock"),
			`403 Forbidden`),
		asRoot("signals the supervisor", func(a *arena) string { return fmt.Sprintf("import os; os.kill(%d, 0); print('may')", a.Pid()) }, forbidden),
		asRoot("reads the memory of the supervisor", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/mem", a.Pid())) }, forbidden),
		asRoot("reads the environment of the supervisor", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/environ", a.Pid())) }, forbidden),
		asRoot("takes descriptors of the supervisor", func(a *arena) string {
			return fmt.Sprintf("import os; print(os.open('/proc/%d/fd/0', os.O_RDONLY))", a.Pid())
		}, forbidden),
		asRoot("changes a setting of the kernel", text("open('/proc/sys/kernel/core_pattern', 'w')"), forbidden),
		asRoot("leaves its cgroup", text("open('/sys/fs/cgroup/cgroup.procs', 'w')"), forbidden+`|FileNotFoundError`),
		asRoot("makes a device", func(a *arena) string {
			return fmt.Sprintf("import os, stat; os.mknod(%q, stat.S_IFBLK | 0o600, os.makedev(8, 0)); print('made')", a.Data("five", "disk"))
		}, forbidden),
		asRoot("becomes another user", func(a *arena) string { return fmt.Sprintf("import os; os.setuid(%d); print('is')", a.two.Uid) }, forbidden),
		inRun("one", "reads builds.toml in a run", func(a *arena) string { return reads(a.File) }, forbidden),
		inRun("one", "writes to the common temporary folder in a run", text("open('/tmp/medctrl-attack', 'w')"), forbidden),
		inRun("one", "makes namespaces in a run", text(calls(syscall.SYS_UNSHARE, fmt.Sprint(syscall.CLONE_NEWUSER))), `^-1 EPERM`),
		inRun("one", "reads the settings of another build in a run", func(a *arena) string {
			return reads(filepath.Join(a.Root, "two/current/API/api_settings/settings/deploy_two.py"))
		}, forbidden),
		inRun("one", "connects to the control socket in a run", func(a *arena) string {
			return fmt.Sprintf("import socket; s = socket.socket(socket.AF_UNIX); s.connect(%q); print('connected')", filepath.Join(a.Root, ".supervisor/control.sock"))
		}, forbidden),
	}
}

// attemptsBeyondLimits use more than a build may.
func attemptsBeyondLimits() []attempt {
	text := func(code string) func(*arena) string { return func(*arena) string { return code } }
	const forks = `
import os, signal, time
pids = []
try:
    for i in range(400):
        pid = os.fork()
        if pid == 0:
            time.sleep(60); os._exit(0)
        pids.append(pid)
    print("forked", len(pids))
except BlockingIOError: print("BlockingIOError")
finally:
    for pid in pids: os.kill(pid, signal.SIGKILL)
    for pid in pids: os.waitpid(pid, 0)
`
	const eats = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'x = b\"x\" * (1 << 30); print(len(x))']).returncode)"
	inSchedule := func(what, code, refused string) attempt {
		return attempt{by: ownCode, what: what, refused: refused, try: func(a *arena) string {
			s := a.fourth()
			said := s.Data("four", "said")
			os.Remove(said) // it may not be there
			if err := s.does("schedule", "import contextlib\nwith open(data + '/saying', 'w') as out, contextlib.redirect_stdout(out):\n    exec("+fmt.Sprintf("%q", code)+")\nos.rename(data + '/saying', data + '/said')"); err != nil {
				return err.Error()
			}
			return strings.TrimSpace(until(patience, func() string { return readAll(said) }, func(text string) bool { return !strings.HasPrefix(text, "(open") }))
		}}
	}
	return []attempt{
		inRun("four", "forks without end in a run", text(forks), `^BlockingIOError$`),
		inRun("four", "eats memory in a run", text(eats), `^-9$`),
		inSchedule("forks without end in a schedule", forks, `^BlockingIOError$`),
		inSchedule("eats memory in a schedule", eats, `^-9$`),
		inRun("four", "leaves its cgroup", text(`
import glob, os
left = 0
for path in glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True):
    try: open(path, "w").write(str(os.getpid())); left += 1; print(path)
    except OSError: pass
print("left", left)`), `^left 0$`),
		{by: supplier, what: "has a build told without end in one line", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			if err := s.does("step", `import sys; sys.stderr.write("x" * (64 << 20)); sys.stderr.flush(); raise SystemExit(1)`); err != nil {
				return err.Error()
			}
			out, wrong, _ := s.CLI("rebuild", "four")
			status, _, _ := s.CLI("status", "--json")
			events, _, _ := s.CLI("events")
			if n := len(out) + len(wrong) + len(status) + len(events); n > 1<<20 {
				return fmt.Sprintf("%d bytes are told", n)
			}
			return "nothing"
		}},
	}
}

// attemptsWithStaticFiles have the supervisor put files elsewhere than the build could.
func attemptsWithStaticFiles() []attempt {
	text := func(code string) func(*arena) string { return func(*arena) string { return code } }
	// static has a build's settings say something of its static files, and looks at what came of it.
	static := func(what string, settings func(*arena) string, came func(*arena) string) attempt {
		return attempt{by: ownCode, what: what, refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			if err := s.does("settings", settings(a)); err != nil {
				return err.Error()
			}
			begun := time.Now()
			s.CLI("rebuild", "four") // it may fail
			os.Remove(s.Data("four", "do.settings"))
			if took := time.Since(begun); took > 40*time.Second {
				return fmt.Sprintf("it took %v", took)
			}
			return came(a)
		}}
	}
	into := func(what string, root func(*arena) string) attempt {
		before := ""
		list := func(dir string) string {
			var all []string
			_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // what is not there is empty
				if info, serr := os.Lstat(path); err == nil && serr == nil {
					all = append(all, fmt.Sprint(path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid))
				}
				return nil
			})
			return strings.Join(all, "\n")
		}
		return static("has its static files put into "+what, func(a *arena) string {
			before = list(root(a))
			return fmt.Sprintf("STATIC_ROOT = %q", root(a))
		}, func(a *arena) string {
			if now := list(root(a)); now != before {
				return now
			}
			return "nothing"
		})
	}
	return []attempt{
		into("/etc", func(*arena) string { return "/etc/medctrl-attack" }),
		into("the data of another build", func(a *arena) string { return a.Data("two", "static") }),
		into("the supervisor's own folder", func(a *arena) string { return filepath.Join(a.Root, ".supervisor/state") }),
		into("the folder of builds.toml", func(a *arena) string { return filepath.Join(a.Dir, "static") }),
		static("has a file of root's published as a static file", text(`
import atexit, sys
def plant():
    from django.conf import settings
    root = settings.STATIC_ROOT
    os.symlink("/etc/shadow", root + "/shadow"); os.mkfifo(root + "/fifo"); os.symlink("/etc", root + "/etc"); os.link(__file__, root + "/own")
if "collectstatic" in sys.argv: atexit.register(plant)
`), func(a *arena) string {
			root := a.Data("four", "static")
			if _, err := os.Lstat(filepath.Join(root, "site.css")); err != nil {
				return err.Error()
			}
			for _, name := range []string{"shadow", "fifo", "etc"} {
				if info, err := os.Lstat(filepath.Join(root, name)); err == nil {
					return fmt.Sprint(name, " is there: ", info.Mode())
				}
			}
			return "nothing"
		}),
		{by: ownCode, what: "has root follow a link in its temporary folder", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			victim := filepath.Join(a.Dir, "kept")
			err := errors.Join(os.MkdirAll(filepath.Join(victim, "sub"), 0o755), os.WriteFile(filepath.Join(victim, "file"), []byte("kept"), 0o600),
				s.does("process", fmt.Sprintf(`
temp = os.environ["TMPDIR"]
os.symlink(%q, temp + "/link")
os.remove(temp + "/notify"); os.symlink(%q, temp + "/notify")
open(data + "/planted", "w")
import time; time.sleep(2)`, victim, filepath.Join(victim, "file"))))
			if err != nil {
				return err.Error()
			}
			go s.CLI("restart", "four")
			until(patience, func() string { return readAll(s.Data("four", "planted")) }, func(text string) bool { return text == "" })
			s.CLI("upgrade") // which makes the socket again
			s.WaitState("four", "running")
			s.CLI("restart", "four")
			var st syscall.Stat_t
			if err := syscall.Stat(filepath.Join(victim, "file"), &st); err != nil || st.Uid != 0 || st.Mode&0o777 != 0o600 || readAll(filepath.Join(victim, "file")) != "kept" {
				return fmt.Sprintf("the file is %+v, %v", st, err)
			}
			if _, err := os.Lstat(filepath.Join(victim, "sub")); err != nil {
				return err.Error()
			}
			return "nothing"
		}},
	}
}
