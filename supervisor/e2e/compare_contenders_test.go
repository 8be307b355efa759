package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Each is set up as its own documentation or gunicorn's shows, and where that leaves a choice, as loses
// least. None runs as a service of this machine: each has a folder of its own.

// program is what a contender is to keep running.
type program struct {
	name  string
	argv  []string
	dir   string
	env   []string
	quiet bool // what it prints is thrown away
}

// shell is the program as a line of a shell that becomes it.
func (p program) shell() string {
	line := "exec env"
	for _, word := range append(slices.Clone(p.env), p.argv...) {
		line += " " + quoted(word)
	}
	return "cd " + quoted(p.dir) + " && " + line
}

func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// peer makes a contender of a function that has programs kept running.
func peer(name, setup string, version func() (string, error), launch func(*trial, *managed, []program)) contender {
	start := func(a *trial, programs ...program) *managed {
		m := &managed{cgroup: newCgroup(a), dir: ShortDir(a)}
		m.again, m.readers = func() {}, func() []int { return nil }
		launch(a, m, programs)
		return m
	}
	c := contender{name: name, setup: setup, version: version, cannot: map[string]string{}}
	c.serve = func(a *trial) *managed {
		project := newProject(a)
		m := start(a, project.gunicorn())
		project.manage(m)
		return m
	}
	c.children = func(a *trial, n int) *managed {
		dir := ShortDir(a)
		var all []program
		for i := range n {
			all = append(all, program{name: fmt.Sprintf("p%d", i), argv: childCommand(dir), dir: dir, quiet: true})
		}
		m := start(a, all...)
		m.data = dir
		return m
	}
	c.writer = func(a *trial) *managed {
		dir := ShortDir(a)
		m := start(a, program{name: "one", argv: writerCommand(a, dir), dir: dir})
		m.data = dir
		return m
	}
	return c
}

// childCommand is a process that leaves a file with its pid as a name.
func childCommand(dir string) []string {
	return []string{"sh", "-c", "true >" + dir + "/$$; exec sleep 100000"}
}

func writerCommand(a *trial, dir string) []string {
	script, err := filepath.Abs("testdata/numbered_lines.py")
	if err != nil {
		a.Fatal(err)
	}
	text, err := os.ReadFile(script)
	copied := filepath.Join(dir, "numbered_lines.py") // where a container has it as well
	if err == nil {
		err = os.WriteFile(copied, text, 0o644)
	}
	if err != nil {
		a.Fatal(err)
	}
	return []string{python, "-I", copied, dir}
}

// project is a copy of the tiny project, compiled as in our releases, that is deployed in place.
type project struct {
	a                      *trial
	dir, app, data, socket string
}

func newProject(a *trial) *project {
	a.Helper()
	dir := ShortDir(a)
	p := &project{a, dir, filepath.Join(dir, "app", "API"), filepath.Join(dir, "data"), filepath.Join(dir, "g.sock")}
	err := os.CopyFS(filepath.Join(dir, "app"), os.DirFS("testdata/project"))
	if err = errors.Join(err, os.Mkdir(p.data, 0o755), p.banner("first")); err != nil {
		a.Fatal(err)
	}
	if err := errors.Join(p.python("-m", "compileall", "-q", p.app), p.python("manage.py", "migrate", "-v0")); err != nil {
		a.Fatal(err)
	}
	return p
}

func (p *project) env() []string { return projectEnv(p.data) }

func (p *project) gunicorn() program {
	return program{name: "one", argv: append([]string{python}, gunicornArgs(p.socket)...), dir: p.app, env: p.env()}
}

// banner is the change that a deploy brings. What breaks in the settings is in them as well: while
// data/dead is there no worker starts, and data/starts counts those that tried.
func (p *project) banner(banner string) error {
	text := "from api_settings.settings.common import *  # noqa: F401,F403\n\n" + settingsOf(banner)
	return os.WriteFile(filepath.Join(p.app, "api_settings", "settings", "deploy_one.py"), []byte(text), 0o644)
}

// settingsOf are the lines of the settings file with a banner.
func settingsOf(banner string) string {
	return fmt.Sprintf("BANNER = %q\n", banner) + `import os
if os.path.exists(os.path.join(DATA_DIR, "dead")):
    with open(os.path.join(DATA_DIR, "starts"), "a") as f:
        f.write("x")
    raise RuntimeError("dead on purpose")
`
}

func (p *project) python(args ...string) error {
	cmd := exec.Command(python, args...)
	cmd.Dir, cmd.Env = p.app, append(os.Environ(), p.env()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("python %v: %w\n%s", args, err, out)
	}
	return nil
}

// manage says how the project is served and deployed: what its users' scripts do. The reload is gunicorn's
// own, by SIGHUP to its master, which most of the contenders have a command for.
func (p *project) manage(m *managed) {
	m.socket, m.data, m.banner = p.socket, p.data, p.banner
	m.wsgi = filepath.Join(p.app, "api_settings", "wsgi.py")
	restart := m.restart
	m.restart = func() error { return errors.Join(p.python("manage.py", "migrate", "-v0"), restart()) }
	if m.deploy == nil {
		m.deploy = func() error {
			if err := p.python("manage.py", "migrate", "-v0"); err != nil {
				return err
			}
			KillAll(p.a, m.masters(), syscall.SIGHUP)
			return nil
		}
	}
}

// pm2Version is what its package says: the command itself would start a daemon.
func pm2Version() (string, error) {
	path, err := exec.LookPath("pm2")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", err
	}
	var says struct{ Version string }
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "..", "package.json"))
	if err == nil {
		err = json.Unmarshal(text, &says)
	}
	return says.Version, err
}

// printed runs a command and returns what it printed.
func printed(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", name, args, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

var aVersion = regexp.MustCompile(`\d+\.\d+[\d.]*`)

// versionOf is the first version that a command prints.
func versionOf(name string, args ...string) func() (string, error) {
	return func() (string, error) {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", err
		}
		out, err := printed(path, args...)
		return aVersion.FindString(out), err
	}
}

// debianVersion is the version of a package, for a program that does not say its own.
func debianVersion(command, pkg string) func() (string, error) {
	return func() (string, error) {
		if _, err := exec.LookPath(command); err != nil {
			return "", err
		}
		out, err := printed("dpkg-query", "-W", "-f", "${Version}", pkg)
		return strings.TrimSpace(out), err
	}
}

func must(a *trial, err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func bySupervisord() contender {
	return peer("Supervisor", "`[program]` with `autorestart=true`, gunicorn on `--bind unix:`; restarted by `supervisorctl restart`",
		versionOf("supervisord", "--version"), func(a *trial, m *managed, programs []program) {
			var conf strings.Builder
			fmt.Fprintf(&conf, "[unix_http_server]\nfile=%[1]s/ctl.sock\n[rpcinterface:supervisor]\n"+
				"supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n[supervisorctl]\nserverurl=unix://%[1]s/ctl.sock\n"+
				"[supervisord]\nnodaemon=true\nlogfile=%[1]s/supervisord.log\npidfile=%[1]s/supervisord.pid\nminfds=8192\n", m.dir)
			for _, p := range programs {
				var env, argv []string
				for _, entry := range p.env {
					name, value, _ := strings.Cut(entry, "=")
					env = append(env, fmt.Sprintf("%s=%q", name, value))
				}
				for _, word := range p.argv {
					argv = append(argv, quoted(word))
				}
				log := filepath.Join(m.dir, p.name+".log")
				if p.quiet {
					log = "NONE"
				}
				fmt.Fprintf(&conf, "[program:%s]\ncommand=%s\ndirectory=%s\nautorestart=true\nredirect_stderr=true\nstdout_logfile=%s\nenvironment=%s\n",
					p.name, strings.Join(argv, " "), p.dir, log, strings.Join(env, ","))
			}
			file := filepath.Join(m.dir, "supervisord.conf")
			must(a, os.WriteFile(file, []byte(conf.String()), 0o600))
			var pid int
			m.again = func() { pid = m.start(exec.Command("supervisord", "-c", file)) }
			m.own = func() []int { return []int{pid} }
			m.readers = m.own
			m.restart = func() error { _, err := printed("supervisorctl", "-c", file, "restart", "one"); return err }
			m.kept = func() string { return readAll(filepath.Join(m.dir, "one.log")) }
			m.again()
		})
}

func byRunit() contender {
	return peer("runit", "a `run` script that executes gunicorn on `--bind unix:`, `svlogd` for its log; restarted by `sv restart`",
		debianVersion("runsvdir", "runit"), func(a *trial, m *managed, programs []program) {
			logs := serviceFolders(a, m, programs, func(dir string) string { return "exec svlogd " + quoted(dir) })
			services := filepath.Join(m.dir, "services")
			m.again = func() { m.start(exec.Command("runsvdir", services)) }
			m.own = func() []int { return m.named("runsvdir", "runsv") }
			m.readers = func() []int { return m.named("svlogd") }
			m.restart = func() error { _, err := printed("sv", "restart", filepath.Join(services, "one")); return err }
			m.kept = logs
			m.again()
		})
}

func byS6() contender {
	return peer("s6", "a `run` script that executes gunicorn on `--bind unix:`, `s6-log` for its log; restarted by `s6-svc -r`",
		debianVersion("s6-svscan", "s6"), func(a *trial, m *managed, programs []program) {
			logs := serviceFolders(a, m, programs, func(dir string) string { return "exec s6-log n20 s1000000 " + quoted(dir) })
			services := filepath.Join(m.dir, "services")
			m.again = func() { m.start(exec.Command("s6-svscan", "-c", strconv.Itoa(2*len(programs)+10), services)) }
			m.own = func() []int { return m.named("s6-svscan", "s6-supervise") }
			m.readers = func() []int { return m.named("s6-log") }
			m.restart = func() error { _, err := printed("s6-svc", "-r", filepath.Join(services, "one")); return err }
			m.kept = logs
			m.again()
		})
}

// serviceFolders writes a folder with a run script for each program, as runit and s6 have it, and returns a
// function that reads the log of "one".
func serviceFolders(a *trial, m *managed, programs []program, logger func(dir string) string) (logs func() string) {
	for _, p := range programs {
		dir := filepath.Join(m.dir, "services", p.name)
		out := "exec 2>&1\n"
		if p.quiet {
			out = "exec >/dev/null 2>&1\n"
		}
		run := map[string]string{filepath.Join(dir, "run"): out + p.shell()}
		if !p.quiet {
			log := filepath.Join(m.dir, "logs", p.name)
			must(a, os.MkdirAll(log, 0o755))
			run[filepath.Join(dir, "log", "run")] = logger(log)
		}
		for path, script := range run {
			must(a, os.MkdirAll(filepath.Dir(path), 0o755))
			must(a, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		}
	}
	return func() string { return readFolder(filepath.Join(m.dir, "logs", "one")) }
}

// readFolder is the text of all files of a folder.
func readFolder(dir string) string {
	var all strings.Builder
	entries, _ := os.ReadDir(dir) // what is not there has kept nothing
	for _, e := range entries {
		if e.Type().IsRegular() {
			all.WriteString(readAll(filepath.Join(dir, e.Name())))
		}
	}
	return all.String()
}

// monitCycle is how often Monit looks: as often as it can.
const monitCycle = 1

func byMonit() contender {
	c := peer("Monit", fmt.Sprintf("`check process` with a pid file, looking every %d s (30 in its manual's examples), gunicorn on `--bind unix:`; restarted by `monit restart`", monitCycle),
		versionOf("monit", "--version"), func(a *trial, m *managed, programs []program) {
			var conf strings.Builder
			fmt.Fprintf(&conf, "set daemon %d\nset logfile %[2]s/monit.log\nset pidfile %[2]s/monit.pid\nset idfile %[2]s/id\nset statefile %[2]s/state\n"+
				"set httpd unixsocket %[2]s/monit.sock\n  allow compare:compare\n", monitCycle, m.dir)
			for _, p := range programs {
				pidfile, start := filepath.Join(m.dir, p.name+".pid"), filepath.Join(m.dir, p.name+".start")
				log := filepath.Join(m.dir, p.name+".log")
				if p.quiet {
					log = "/dev/null"
				}
				become := "echo $$ >" + pidfile + "; " + p.shell()
				script := "#!/bin/sh\nsetsid sh -c " + quoted(become) + " </dev/null >>" + log + " 2>&1 &\n"
				must(a, os.WriteFile(start, []byte(script), 0o755))
				fmt.Fprintf(&conf, "check process %s with pidfile %s\n  start program = \"%s\"\n  stop program = \"/bin/sh -c 'kill $(cat %s)'\"\n", p.name, pidfile, start, pidfile)
			}
			file := filepath.Join(m.dir, "monitrc")
			must(a, os.WriteFile(file, []byte(conf.String()), 0o600))
			var pid int
			m.again = func() { pid = m.start(exec.Command("monit", "-I", "-c", file)) }
			m.own = func() []int { return []int{pid} }
			m.restart = func() error { _, err := printed("monit", "-c", file, "restart", "one"); return err }
			m.kept = func() string { return readAll(filepath.Join(m.dir, "one.log")) }
			m.again()
		})
	c.cannot[logTitle] = "has no part in it: a program's own start script opens its log, a file"
	return c
}

func byPm2() contender {
	return peer("pm2", "fork mode, `interpreter: none`, gunicorn on `--bind unix:`, SIGTERM as PM2_KILL_SIGNAL; restarted by `pm2 reload`, and after its death by `pm2 resurrect`",
		pm2Version, func(a *trial, m *managed, programs []program) {
			var apps []map[string]any
			for _, p := range programs {
				env := map[string]string{}
				for _, entry := range p.env {
					name, value, _ := strings.Cut(entry, "=")
					env[name] = value
				}
				log := filepath.Join(m.dir, p.name+".log")
				if p.quiet {
					log = "/dev/null"
				}
				script, err := exec.LookPath(p.argv[0])
				must(a, err)
				apps = append(apps, map[string]any{"name": p.name, "script": script, "args": p.argv[1:], "interpreter": "none", "exec_mode": "fork", "cwd": p.dir,
					"env": env, "out_file": log, "error_file": log, "kill_timeout": 30000, "vizion": false, "pmx": false})
			}
			file := filepath.Join(m.dir, "ecosystem.config.json")
			text, err := json.Marshal(map[string]any{"apps": apps})
			must(a, err)
			must(a, os.WriteFile(file, text, 0o644))
			pm2 := func(args ...string) *exec.Cmd {
				cmd := exec.Command("pm2", args...)
				cmd.Env = append(os.Environ(), "PM2_HOME="+filepath.Join(m.dir, "pm2"), "PM2_KILL_SIGNAL=SIGTERM", "PM2_DISABLE_VERSION_CHECK=true")
				return cmd
			}
			m.own = func() []int {
				pid, _ := strconv.Atoi(strings.TrimSpace(readAll(filepath.Join(m.dir, "pm2", "pm2.pid")))) // 0 before it is written
				return []int{pid}
			}
			m.readers = m.own
			m.restart = func() error { return m.run(pm2("reload", "one")) }
			m.again = func() { must(a, m.run(pm2("resurrect"))) }
			m.kept = func() string { return readAll(filepath.Join(m.dir, "one.log")) }
			// Any other command meanwhile would start a second daemon. With very many programs it takes longer than anybody waits.
			if len(programs) > 1 {
				go m.run(pm2("start", file))
				return
			}
			must(a, m.run(pm2("start", file)))
			must(a, m.run(pm2("save")))
		})
}

func byEmperor() contender {
	c := contender{name: "uWSGI's emperor", version: versionOf("uwsgi", "--version"),
		setup:  "a vassal of 2 processes that serves the same Django by uWSGI itself, with `master`, `lazy-apps` and `need-app`; reloaded by `touch-chain-reload`, restarted by touching the vassal's file",
		cannot: map[string]string{logTitle: "has no part in it: its vassals write their own log files"}}
	c.serve = func(a *trial) *managed {
		p := newProject(a)
		m := &managed{cgroup: newCgroup(a), dir: ShortDir(a)}
		vassals, chain := filepath.Join(m.dir, "vassals"), filepath.Join(m.dir, "reload")
		must(a, os.Mkdir(vassals, 0o755))
		vassal := filepath.Join(vassals, "one.ini")
		var conf strings.Builder
		fmt.Fprintf(&conf, "[uwsgi]\nplugins = python3\nchdir = %s\nmodule = api_settings.wsgi:application\nprotocol = http\nsocket = %s\nchmod-socket = 660\nlisten = 2048\n"+
			"master = true\nprocesses = 2\nlazy-apps = true\nneed-app = true\ndie-on-term = true\nvacuum = true\ndisable-logging = true\nlogto = %s/one.log\ntouch-chain-reload = %s\n",
			p.app, p.socket, m.dir, chain)
		for _, entry := range p.env() {
			fmt.Fprintf(&conf, "env = %s\n", entry)
		}
		must(a, errors.Join(os.WriteFile(chain, nil, 0o644), os.WriteFile(vassal, []byte(conf.String()), 0o644)))
		var pid int
		touch := func(path string) error {
			now := time.Now()
			return os.Chtimes(path, now, now)
		}
		m.again = func() {
			pid = m.start(exec.Command("uwsgi", "--emperor", vassals, "--die-on-term", "--logto", filepath.Join(m.dir, "emperor.log")))
		}
		m.own = func() []int { return []int{pid} }
		m.readers = func() []int { return nil }
		m.restart = func() error { return touch(vassal) }
		m.deploy = func() error { return errors.Join(p.python("manage.py", "migrate", "-v0"), touch(chain)) }
		m.again()
		p.manage(m)
		return m
	}
	return c
}

func bySystemd() contender {
	c := peer("systemd", "the socket and service units of gunicorn's documentation with `Restart=always`, in a booted container; reloaded by SIGHUP, restarted by `systemctl restart`",
		systemdVersion, inSystemd)
	c.cannot[supervisorTitle] = "cannot be done: the death of process 1 is the machine's"
	return c
}

func systemdVersion() (string, error) {
	root := os.Getenv("MEDCTRL_TEST_SYSTEMD")
	if root == "" {
		return "", errors.New("there is no container to boot")
	}
	out, err := printed("chroot", root, "systemctl", "--version")
	_, version, _ := strings.Cut(out, "(")
	version, _, _ = strings.Cut(version, ")")
	return version, err
}

func inSystemd(a *trial, m *managed, programs []program) {
	units := filepath.Join(m.dir, "units")
	must(a, os.Mkdir(units, 0o755))
	unit := func(name, text string) { must(a, os.WriteFile(filepath.Join(units, name), []byte(text), 0o644)) }
	args := []string{"--quiet", "--register=no", "--keep-unit", "--directory=" + os.Getenv("MEDCTRL_TEST_SYSTEMD"), "--volatile=overlay", "--boot",
		"--console=pipe", "--machine=compare-" + filepath.Base(m.cgroup.dir), "--bind=" + m.dir}
	bound := map[string]bool{}
	start := "systemctl start one.service"
	for i, p := range programs {
		if top := filepath.Join(binDir, strings.Split(strings.TrimPrefix(p.dir, binDir+"/"), "/")[0]); !bound[top] {
			bound[top] = true
			args = append(args, "--bind="+top)
		}
		service := "[Service]\nRestart=always\nWorkingDirectory=" + p.dir + "\n"
		for _, entry := range p.env {
			service += "Environment=" + entry + "\n"
		}
		argv := p.argv
		if at := slices.Index(argv, "--bind"); at >= 0 {
			unit("one.socket", "[Socket]\nListenStream="+strings.TrimPrefix(argv[at+1], "unix:")+"\n")
			service = "[Unit]\nRequires=one.socket\n" + service + "Type=notify\nNotifyAccess=main\nExecReload=/bin/kill -s HUP $MAINPID\nKillMode=mixed\n"
			argv = slices.Concat(argv[:at], argv[at+2:])
			start = "systemctl start one.socket one.service"
		}
		var words []string
		for _, word := range argv {
			words = append(words, `"`+strings.ReplaceAll(strings.ReplaceAll(word, "$", "$$"), `"`, `\"`)+`"`)
		}
		service += "ExecStart=" + strings.Join(words, " ") + "\n"
		if p.quiet {
			service += "StandardOutput=null\nStandardError=null\n"
		}
		if len(programs) > 1 || p.quiet {
			if i == 0 {
				unit("p@.service", service)
			}
			start = fmt.Sprintf("seq -f 'p@%%g.service' %d | xargs systemctl start --no-block", len(programs))
			continue
		}
		unit("one.service", service)
	}
	nspawn := m.start(exec.Command("systemd-nspawn", args...))
	init := 0
	inside := func(argv ...string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(init), "--all"}, argv...)...)
	}
	a.Cleanup(func() {
		if init != 0 {
			syscall.Kill(init, syscall.SIGKILL) // it may have ended; all that it has started ends with it
		}
		syscall.Kill(nspawn, syscall.SIGKILL) // it may have ended
	})
	Eventually(a, 2*time.Minute, "the boot", func() (bool, string) {
		for _, p := range Tree(nspawn) {
			if strings.HasPrefix(p.Command, "/usr/lib/systemd/systemd") || strings.HasPrefix(p.Command, "/lib/systemd/systemd") {
				init = p.Pid
				break
			}
		}
		if init == 0 {
			return false, "no process 1"
		}
		out, _ := inside("systemctl", "is-system-running").CombinedOutput() // "degraded" is an exit code of 1
		state := strings.TrimSpace(string(out))
		return state == "running" || state == "degraded", state
	})
	sh := func(script string) (string, error) {
		out, err := inside("sh", "-c", script).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", script, err, out)
		}
		return string(out), nil
	}
	m.own = func() []int { return []int{init} }
	m.readers = func() []int { return m.named("systemd-journal") }
	m.restart = func() error { _, err := sh("systemctl restart one.service"); return err }
	m.kept = func() string {
		out, err := sh("journalctl --no-pager --output=cat --unit=one.service")
		must(a, err)
		return out
	}
	_, err := sh("cp " + units + "/* /etc/systemd/system/ && systemctl daemon-reload && " + start)
	must(a, err)
}

// ours is the program itself. Its environments are built as they are for a user.
func ours() contender {
	c := contender{name: ourName, setup: "an entry with its defaults; deployed by `deploy`, which makes and checks a release beside the one that serves, restarted by `restart`; children are up to 50 processes of a build, with as many builds as that takes; its memory is looked at 22 s after its start, as it gives back then what only the start needed",
		version: func() (string, error) {
			out, err := printed("git", "describe", "--tags", "--always", "--dirty")
			return strings.TrimSpace(out), err
		}, cannot: map[string]string{}}
	world := func(a *trial, entries ...string) (*World, *managed) {
		c := newCgroup(a) // what is left of it is killed after the world has ended what it knows
		w := NewWorld(a, entries...)
		w.Prepared = false
		m := &managed{cgroup: c, dir: w.Dir, socket: w.Socket("one"), data: filepath.Join(w.Root, "one", "data")}
		m.own = func() []int { return []int{w.Pid()} }
		m.readers = m.own
		m.again = func() { w.startIn(m.cgroup) }
		m.kept = func() string { return readFolder(filepath.Join(w.Root, ".supervisor", "logs")) }
		return w, m
	}
	do := func(w *World, args ...string) error {
		if stdout, stderr, code := w.CLI(args...); code != 0 {
			return fmt.Errorf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
		return nil
	}
	c.serve = func(a *trial) *managed {
		w, m := world(a, One("workers = 2"))
		w.Defaults = nil
		w.WriteConfig()
		m.wsgi = filepath.Join(w.Source, "API", "api_settings", "wsgi.py")
		m.banner = func(banner string) error {
			_, lines, _ := strings.Cut(settingsOf(banner), "\n")
			w.SaveSettings("one", fmt.Sprintf("BANNER = %q\n", banner)+lines, RenameOver)
			return nil
		}
		must(a, m.banner("first"))
		m.deploy = func() error { return do(w, "deploy", "one") }
		m.restart = func() error { return do(w, "restart", "one") }
		m.again()
		w.WaitState("one", "running")
		return m
	}
	// Builds serve something small, and what is compared are processes beside it.
	beside := func(a *trial, builds ...string) *managed {
		w, m := world(a)
		w.Supervisor = append(w.Supervisor, fmt.Sprintf("max_parallel_builds = %d", runtime.NumCPU()))
		for i, processes := range builds {
			name := fmt.Sprintf("b%d", i)
			w.Builds += tinyEntry(name) + processes
			settings := filepath.Join(w.Source, "API", "api_settings", "settings", "deploy_"+name+".py")
			must(a, os.WriteFile(settings, []byte("BANNER = \"none\"\n"), 0o644))
		}
		w.WriteConfig()
		must(a, os.WriteFile(filepath.Join(w.Source, "requirements.txt"), nil, 0o644))
		return m
	}
	process := func(count int, argv []string) string {
		words := make([]string, len(argv))
		for i, word := range argv {
			words[i] = fmt.Sprintf("%q", word)
		}
		return fmt.Sprintf("\n[[build.process]]\nname = \"p\"\ncount = %d\ncommand = [%s]\n", count, strings.Join(words, ", "))
	}
	c.children = func(a *trial, n int) *managed {
		dir := ShortDir(a)
		var all []string
		for i := 0; i < n; i += perBuild {
			all = append(all, process(min(perBuild, n-i), childCommand(dir)))
		}
		m := beside(a, all...)
		m.data, m.settles = dir, 22*time.Second // trimAfter, and what that takes
		m.again()
		return m
	}
	c.writer = func(a *trial) *managed {
		dir := ShortDir(a)
		m := beside(a, process(1, writerCommand(a, dir)))
		m.data = dir
		m.again()
		return m
	}
	return c
}

// startIn is Start, in a cgroup.
func (w *World) startIn(c *cgroup) {
	w.t.Helper()
	cmd := w.command()
	fd, err := os.Open(c.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	defer fd.Close()
	log, err := os.OpenFile(w.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	w.start(cmd)
}

const ourName = "medctrl-supervisor"

// perBuild is how many children a build of ours has: as many as the most that one host's builds are meant for.
const perBuild = 50
