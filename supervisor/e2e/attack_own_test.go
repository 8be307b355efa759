package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	forbidden = `PermissionError: \[Errno (1|13)\]` // EPERM or EACCES
	nothing   = `^nothing$`
)

// reads is Python code that reads a file.
func reads(path string) string { return fmt.Sprintf("print(open(%q).read())", path) }

// calls is Python code that makes a system call by its number on this machine, and prints the error.
func calls(number int, args ...string) string {
	return fmt.Sprintf("import ctypes, errno; l = ctypes.CDLL(None, use_errno=True); r = l.syscall(%s); print(r, errno.errorcode.get(ctypes.get_errno()))",
		strings.Join(append([]string{strconv.Itoa(number)}, args...), ", "))
}

// inOwn is an attempt by code of build one's application.
func inOwn(what string, code func(*arena) string, refused string) attempt {
	return attempt{by: ownCode, what: what, refused: refused, try: func(a *arena) string { return a.app(code(a)) }}
}

// pid is the pid of a build's main process.
func (a *arena) pid(name string) int { return a.WaitState(name, "running").Pid }

// running lists the processes with a command line.
func running(command string) string {
	var found []string
	for _, p := range processes() {
		if strings.Contains(p.Command, command) {
			found = append(found, p.String())
		}
	}
	if len(found) == 0 {
		return "nothing"
	}
	return strings.Join(found, "\n")
}

func attemptsOfOwnCode() []attempt {
	in := func(parts ...string) func(*arena) string {
		return func(a *arena) string { return reads(filepath.Join(append([]string{a.Root}, parts...)...)) }
	}
	text := func(code string) func(*arena) string { return func(*arena) string { return code } }
	connects := func(path func(*arena) string) func(*arena) string {
		return func(a *arena) string {
			return fmt.Sprintf("import socket; s = socket.socket(socket.AF_UNIX); s.connect(%q); print('connected')", path(a))
		}
	}
	all := []attempt{
		inOwn("reads the settings of another build", in("two/current/API/api_settings/settings/deploy_two.py"), forbidden),
		inOwn("reads the environment file of another build", func(a *arena) string { return reads(filepath.Join(a.Dir, "two.env")) }, forbidden),
		inOwn("reads the environment of another build's process", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/environ", a.pid("two"))) }, forbidden),
		inOwn("reads the memory of another build's process", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/mem", a.pid("two"))) }, forbidden),
		inOwn("reads the log of another build", in(".supervisor/logs/two.log"), forbidden),
		inOwn("reads what was uploaded to another build", in("two/data/upload"), forbidden),
		inOwn("lists the releases of another build", func(a *arena) string {
			return fmt.Sprintf("import os; print(os.listdir(%q))", filepath.Join(a.Root, "two/releases"))
		}, forbidden),
		inOwn("connects to the socket of another build", connects(func(a *arena) string { return a.Socket("two") }), forbidden),
		inOwn("connects to the control socket", connects(func(a *arena) string { return filepath.Join(a.Root, ".supervisor/control.sock") }), forbidden),
		inOwn("reads the state of the supervisor", in(".supervisor/state/one.json"), forbidden),
		inOwn("reads the environment of the supervisor", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/environ", a.Pid())) }, forbidden),
		inOwn("reads builds.toml", func(a *arena) string { return reads(a.File) }, forbidden),
		inOwn("reads the password file of the system", text(reads("/etc/shadow")), forbidden),
		inOwn("lists the home of root", text("import os; print(os.listdir('/root'))"), forbidden),
		inOwn("writes to the common temporary folder", text("open('/tmp/medctrl-attack', 'w').write('x'); print('written')"), forbidden),
		inOwn("writes into its own release", func(a *arena) string {
			return fmt.Sprintf("open(%q, 'a').write('#'); print('written')", filepath.Join(a.Root, "one/current/API/manage.py"))
		}, forbidden),
		inOwn("writes into its own environment", text("import sys; open(sys.prefix + '/attack', 'w'); print('written')"), forbidden),
		inOwn("moves its own releases away", func(a *arena) string {
			return fmt.Sprintf("import os; os.rename(%[1]q, %[1]q + '.gone'); print('moved')", filepath.Join(a.Root, "one/releases"))
		}, forbidden),
		inOwn("replaces the link to its current release", func(a *arena) string {
			return fmt.Sprintf("import os; os.remove(%q); print('removed')", filepath.Join(a.Root, "one/current"))
		}, forbidden),
		inOwn("removes its own public socket", func(a *arena) string {
			return fmt.Sprintf("import os; os.remove(%q); print('removed')", a.Socket("one"))
		}, forbidden),
		inOwn("makes a hard link to a file of root", func(a *arena) string {
			return fmt.Sprintf("import os; os.link('/etc/passwd', %q); print('linked')", a.Data("one", "passwd"))
		}, `PermissionError|OSError: \[Errno 18\]`),
		inOwn("truncates its own log", text("import os; os.ftruncate(1, 1 << 42); print('truncated')"), forbidden),
		inOwn("makes the kernel spare it when memory is short", text("open('/proc/self/oom_score_adj', 'w').write('-1000'); print('written')"), forbidden),
		inOwn("signals the process of another build", func(a *arena) string { return fmt.Sprintf("import os; os.kill(%d, 0); print('may')", a.pid("two")) }, forbidden),
		inOwn("signals the supervisor", func(a *arena) string { return fmt.Sprintf("import os; os.kill(%d, 0); print('may')", a.Pid()) }, forbidden),
		inOwn("has rights that it could use one day", text(`print([l for l in open("/proc/self/status") if l.startswith(("CapBnd", "CapInh", "CapPrm", "CapAmb", "CapEff"))])`),
			`^\[('Cap\w+:\\t0000000000000000\\n'(, )?){5}\]$`),
		inOwn("may gain rights", text(`print([l for l in open("/proc/self/status") if l.startswith("NoNewPrivs")])`), `NoNewPrivs:\\t1`),
		inOwn("leaves its memory in a core dump", text("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"), `^\(0, 0\)$`),
		inOwn("reads the supervisor's variables", text("import os; print(os.environ.get('ARENA_SECRET'))"), `^None$`),
		inOwn("finds packages in a home", text("import site, os; print(site.ENABLE_USER_SITE, os.environ.get('PYTHONNOUSERSITE'))"), `^False 1$`),
		inOwn("traces a process", func(a *arena) string { return calls(syscall.SYS_PTRACE, "16", strconv.Itoa(a.pid("two")), "0", "0") }, `^-1 EPERM`),
		inOwn("mounts", text(calls(syscall.SYS_MOUNT, "b'none'", "b'/tmp'", "b'tmpfs'", "0", "0")), `^-1 EPERM`),
		inOwn("makes namespaces", text(calls(syscall.SYS_UNSHARE, strconv.Itoa(syscall.CLONE_NEWUSER|syscall.CLONE_NEWNS))), `^-1 EPERM`),
		inOwn("loads programs into the kernel", text(calls(321, "0", "0", "0")), `^-1 EPERM`),
		inOwn("keeps keys in the kernel", text(calls(250, "0", "-3", "0")), `^-1 EPERM`),
		inOwn("handles page faults", text(calls(323, "0")), `^-1 EPERM`),
		inOwn("boots another kernel", text(calls(246, "0", "0", "0", "0")), `^-1 EPERM`),
		inOwn("forks without end", text(`
import os, signal, time
pids = []
try:
    for i in range(400):
        pid = os.fork()
        if pid == 0:
            time.sleep(60); os._exit(0)
        pids.append(pid)
    print("forked", len(pids))
finally:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
`), `BlockingIOError`),
		inOwn("eats memory", text("import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'x = b\"x\" * (1 << 30); print(len(x))']).returncode)"), `^-9$`),
	}
	return append(all, attemptsThatLast()...)
}

// attemptsThatLast leave something that is looked at later.
func attemptsThatLast() []attempt {
	mark := func(name, number string) func(*arena) string {
		return func(a *arena) string {
			return a.app(fmt.Sprintf(`
import os, subprocess
root = os.environ["MEDCTRL_GENERATION"].split("/")[0]
p = subprocess.Popen(["sleep", "612"], env={"MEDCTRL_GENERATION": f"{root}/%s/%s"}, start_new_session=True)
print("pid", p.pid)`, name, number))
		}
	}
	return []attempt{
		{by: ownCode, what: "keeps descriptors of the supervisor", refused: nothing, try: func(a *arena) string {
			said := a.app(`
import os
for fd in sorted(os.listdir("/proc/self/fd"), key=int):
    try: print(fd, os.readlink("/proc/self/fd/" + fd))
    except OSError: pass`)
			var strange []string
			for line := range strings.Lines(said) {
				_, where, _ := strings.Cut(strings.TrimSpace(line), " ")
				switch {
				case strings.HasPrefix(where, "socket:"), strings.HasPrefix(where, "pipe:"), where == "/dev/null", strings.HasPrefix(where, "/dev/shm/"),
					where == filepath.Join(a.Root, ".supervisor/logs/one.log"), where == "/dev/urandom", strings.HasPrefix(where, "/proc/"), strings.Contains(where, "(deleted)") && !strings.Contains(where, "medctrl"):
				default:
					strange = append(strange, line)
				}
			}
			if len(strange) > 0 || said == "" {
				return "has: " + strings.Join(strange, "") + said
			}
			return "nothing"
		}},
		{by: ownCode, what: "executes a program of root's with set-user-ID", refused: `uid=65101\(medctrl-one\) gid=65101\(medctrl-one\) groups`, try: func(a *arena) string {
			program := filepath.Join(a.Source, "..", "suid")
			if out, err := exec.Command("cp", "/usr/bin/id", program).CombinedOutput(); err != nil {
				return string(out)
			}
			if err := os.Chmod(program, os.ModeSetuid|0o755); err != nil {
				return err.Error()
			}
			defer os.Remove(program)
			// Its own user outside of the box could execute it.
			return asUser(a.one, "/usr/bin/setpriv", "--no-new-privs", program)
		}},
		{by: ownCode, what: "signals a process of its own user that is not its own", refused: forbidden, try: func(a *arena) string {
			cmd := exec.Command("/usr/bin/sleep", "600")
			cmd.Env, cmd.Dir = []string{}, "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.one, Setsid: true, Pdeathsig: syscall.SIGKILL}
			if err := StartBound(cmd); err != nil {
				return err.Error()
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			return a.app(fmt.Sprintf("import os; os.kill(%d, 9); print('killed')", cmd.Process.Pid))
		}},
		{by: ownCode, what: "connects to an abstract socket of others", refused: forbidden, try: func(a *arena) string {
			name := "medctrl-attack-" + strconv.Itoa(os.Getpid())
			ln, err := net.Listen("unix", "@"+name)
			if err != nil {
				return err.Error()
			}
			defer ln.Close()
			return a.app(fmt.Sprintf("import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0%s'); print('connected')", name))
		}},
		{by: ownCode, what: "leaves a daemon without an environment", refused: nothing,
			try: func(a *arena) string {
				return a.app(`import subprocess; subprocess.Popen(["sleep", "611"], env={}, start_new_session=True); print("left")`)
			},
			after: func(*arena) string { return running("sleep 611") }},
		{by: ownCode, what: "claims a generation beyond all numbers", refused: nothing, try: mark("one", "9223372036854775807"),
			after: func(a *arena) string { return numbers(a, "one") }},
		{by: ownCode, what: "claims the next generation of another build", refused: nothing, try: mark("two", "99"),
			after: func(a *arena) string { return numbers(a, "two") }},
		{by: ownCode, what: "has root follow a link in its data", refused: `^root:root$`,
			try: func(a *arena) string {
				return a.app(fmt.Sprintf("import os; os.symlink('/etc/hostname', %q); print('linked')", a.Data("one", "link")))
			},
			after: func(*arena) string {
				out, err := exec.Command("stat", "-c", "%U:%G", "/etc/hostname").CombinedOutput()
				if err != nil {
					return err.Error()
				}
				return strings.TrimSpace(string(out))
			}},
		{by: ownCode, what: "sends control sequences to the terminal of who reads its log", refused: nothing,
			try: func(a *arena) string {
				return a.app(`import os; os.write(2, b"\x1b]0;attacked\x07\x1b[2J\n"); print("sent")`)
			},
			after: func(a *arena) string {
				out, err := exec.Command("script", "-qec", Binary(a.t)+" -c "+a.File+" logs -n 1000 one", "/dev/null").CombinedOutput()
				switch text := string(out); {
				case err != nil:
					return err.Error() + text
				case !strings.Contains(text, "attacked"):
					return "the line is not shown: " + text
				case strings.Contains(text, "\x1b]0;") || strings.Contains(text, "\x1b[2J"):
					return "the sequence is sent"
				}
				return "nothing"
			}},
	}
}

// numbers says which number of a generation that somebody claimed has become the supervisor's.
func numbers(a *arena, name string) string {
	text := readAll(filepath.Join(a.Root, ".supervisor/state", name+".json"))
	for _, n := range regexp.MustCompile(`: (\d+)`).FindAllStringSubmatch(text, -1) {
		if slices.Contains([]string{"99", "100", "101", "9223372036854775807"}, n[1]) {
			return text
		}
	}
	if text == "" {
		return "no record"
	}
	return "nothing"
}
