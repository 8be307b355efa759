package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who attacks.
const (
	ownCode  = "a build's own code"
	local    = "another local user"
	client   = "a client"
	supplier = "who writes a source or a package"
)

// attempt is one attack. It has failed when what came of it is what refused says: not by accident.
type attempt struct {
	by, what string
	try      func(*arena) string // begins it and returns what came of it
	after    func(*arena) string // what came of it after the supervisor was upgraded, killed and started again; nil: as try says
	refused  string              // what is to come of it, a regular expression
}

// arena is a supervisor, as root, with two builds that have users of their own, and what everybody
// has who attacks it.
type arena struct {
	*World
	one, two, stranger *syscall.Credential
	reader             *syscall.Credential // a stranger in control_group
	secret             string              // in build two's settings, environment and data
	Dashboard, Metrics string              // their addresses
	weaker             *strings.Replacer   // takes a defence out of an entry
}

const (
	attackSecret = "of-build-two-alone"
	readToken    = "read-0123456789abcdef"
	writeToken   = "write-0123456789abcdef"
)

// throwaway returns a user of .ci/throwaway-users.
func throwaway(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip("needs throw-away users: make attack")
	}
	id, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}
}

// group returns the number of a group of .ci/throwaway-users.
func group(t *testing.T, name string) uint32 {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id)
}

// newArena makes an arena and starts it. weaker takes a defence out of its entries.
func newArena(t *testing.T, weaker *strings.Replacer) *arena {
	t.Helper()
	a := &arena{weaker: weaker, one: throwaway(t, "medctrl-one"), two: throwaway(t, "medctrl-two"), stranger: throwaway(t, "medctrl-stranger"), secret: attackSecret}
	a.World = NewWorld(t)
	a.WithDjango()
	a.reader = &syscall.Credential{Uid: a.stranger.Uid, Gid: a.stranger.Gid, Groups: []uint32{group(t, "medctrl-reader")}}
	a.Dashboard, a.Metrics = FreeAddr(t), FreeAddr(t)
	a.Supervisor = []string{fmt.Sprintf("dashboard = %q", a.Dashboard), `dashboard_read = "read.token"`, `dashboard_write = "write.token"`,
		fmt.Sprintf("metrics = %q", a.Metrics), `control_group = "medctrl-reader"`}
	a.Env = []string{"ARENA_SECRET=" + a.secret}
	for name, token := range map[string]string{"read.token": readToken, "write.token": writeToken} {
		if err := os.WriteFile(filepath.Join(a.Dir, name), []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.Builds = weaker.Replace(a.entry("one") + "\n" + a.entry("two"))
	for path, text := range map[string]string{
		filepath.Join(a.Source, "API/api_settings/hostile.py"): readAll("testdata/attack/hostile.py"),
		filepath.Join(a.Source, "API/api_settings/urls.py"): readAll("testdata/project/API/api_settings/urls.py") +
			"\nfrom . import hostile\nurlpatterns += [path(\"run\", hostile.run), path(\"header\", hostile.header)]\n",
		a.Settings("two"): readAll(a.Settings("two")) + "\nPASSWORD = \"" + a.secret + "\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "two.env"), []byte("DATABASE_PASSWORD="+a.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(a.Dir, 0o711); err != nil { // the builds' users pass through it
		t.Fatal(err)
	}
	a.WriteConfig()
	a.Start()
	a.WaitState("one", "running")
	a.WaitState("two", "running")
	if err := os.WriteFile(a.Data("two", "upload"), []byte(a.secret), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(a.Data("two", "upload"), int(a.two.Uid), int(a.two.Gid)); err != nil {
		t.Fatal(err)
	}
	return a
}

// entry is the entry of a build as the README isolates it.
func (a *arena) entry(name string) string {
	lines := []string{
		fmt.Sprintf("user = %q", "medctrl-"+name), fmt.Sprintf("group = %q", "medctrl-"+name), `socket_group = "medctrl-web"`, "workers = 1",
		"[build.limits]", `tasks = 200`, `memory = "300M"`,
		"[build.sandbox]", "enabled = true",
	}
	if name == "two" {
		lines = append([]string{`env_file = "two.env"`}, lines...)
	}
	return Entry(name, lines...)
}

// adds adds an entry to builds.toml.
func (a *arena) adds(entry string) {
	a.t.Helper()
	a.SetBuilds(a.Builds, a.weaker.Replace(entry))
}

// app has the application of build one run Python code, and returns what it prints and the exception
// that ends it.
func (a *arena) app(code string) string {
	said, err := post("unix", a.Socket("one"), "/run", code)
	if err != nil {
		return "no response: " + err.Error()
	}
	return said
}

// post sends a body and returns that of the response.
func post(network, addr, path, body string) (string, error) {
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}}
	resp, err := c.Post("http://localhost"+path, "text/plain", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// asUser runs a command as somebody else and returns what it prints.
func asUser(who *syscall.Credential, argv ...string) string {
	cmd := exec.Command(argv[0], argv[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(&out, "\n%v", err)
	}
	return out.String()
}

// py runs Python code as a local user.
func (a *arena) py(code string) string {
	return asUser(a.stranger, python, "-I", "-c", code)
}

// linger starts a process of a local user that lasts, with an environment, and returns it.
func (a *arena) linger(env ...string) *exec.Cmd {
	a.t.Helper()
	cmd := exec.Command("/usr/bin/sleep", "600")
	cmd.Env, cmd.Dir = env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.stranger, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(cmd); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended, which then is the failure
		cmd.Wait()
	})
	return cmd
}

// alive says whether a process goes on.
func alive(cmd *exec.Cmd) string {
	if p, live := readProcess(fmt.Sprintf("/proc/%d", cmd.Process.Pid)); live {
		return "goes on, its parent is " + strconv.Itoa(p.Parent)
	}
	return "was ended"
}

// shake has the supervisor find again what it has: an upgrade, a kill -9, a start, a rebuild.
func (a *arena) shake() {
	a.t.Helper()
	if _, said, code := a.CLI("upgrade"); code != 0 {
		a.t.Errorf("upgrade: %s", said)
	}
	a.WaitState("one", "running")
	a.Signal(syscall.SIGKILL)
	a.WaitEnd(patience)
	a.Start()
	for _, name := range []string{"one", "two"} {
		a.WaitState(name, "running")
		if _, said, code := a.CLI("restart", name); code != 0 {
			a.t.Errorf("restart %s: %s", name, said)
		}
	}
}

func TestAttacks(t *testing.T) {
	a := newArena(t, strings.NewReplacer())
	all := allAttempts()
	seen := map[string]bool{}
	said := make([]string, len(all))
	run := func(i int, try func(*arena) string) {
		defer func() {
			if e := recover(); e != nil {
				said[i] = fmt.Sprintf("panic: %v", e)
			}
		}()
		said[i] = strings.TrimSpace(try(a))
	}
	for i, at := range all {
		if seen[at.what] {
			t.Fatalf("two attempts are called %q", at.what)
		}
		seen[at.what] = true
		run(i, at.try)
	}
	a.shake()
	for i, at := range all {
		if at.after != nil {
			run(i, at.after)
		}
	}
	succeeded := map[string]int{}
	for i, at := range all {
		if !regexp.MustCompile(at.refused).MatchString(said[i]) {
			succeeded[at.by]++
			t.Errorf("%s %s: %s\nwant %s", at.by, at.what, shortened(said[i]), at.refused)
		}
	}
	counts := map[string]int{}
	for _, at := range all {
		counts[at.by]++
	}
	t.Logf("%d attempts, %v; not refused as they are to be: %v", len(all), counts, succeeded)
	if len(all) < 60 || len(counts) < 4 {
		t.Errorf("there are %d attempts by %d attackers, want at least 60 by four", len(all), len(counts))
	}
	a.Stop()
}

// With a defence taken out the attempts that it holds off succeed: the suite bites.
func TestAttacksSucceedWithoutADefence(t *testing.T) {
	throwaway(t, "medctrl-one")
	for _, c := range []struct {
		without string
		weaker  *strings.Replacer
		oneUser bool
		succeed []string
	}{
		{"a user for each build", strings.NewReplacer(`"medctrl-two"`, `"medctrl-one"`, "enabled = true", "enabled = false"), true, []string{
			"reads the settings of another build", "reads what was uploaded to another build", "lists the releases of another build",
			"connects to the socket of another build", "signals the process of another build", "reads the environment of another build's process",
		}},
		{"the sandbox", strings.NewReplacer("enabled = true", "enabled = false"), false, []string{
			"reads builds.toml", "writes to the common temporary folder", "truncates its own log", "signals a process of its own user that is not its own",
			"connects to an abstract socket of others", "makes namespaces", "handles page faults", "reads builds.toml in a run", "reads the password file as root in a box", "signals the supervisor as root in a box",
			"commands the supervisor as root in a box", "reads the settings of another build as root in a box",
		}},
		{"the limits", strings.NewReplacer(`tasks = 200`, "", `tasks = 100`, "", `memory = "300M"`, ""), false, []string{
			"forks without end", "eats memory", "forks without end in a run", "forks without end in a schedule", "eats memory in a schedule",
		}},
		{"no_new_privs", strings.NewReplacer("workers = 1", "workers = 1\nno_new_privs = false", "enabled = true", "enabled = false"), false, []string{
			"may gain rights", "has rights that it could use one day", "has more than it should in a step", "has more than it should in a process",
			"has more than it should in a schedule", "has more than it should in a hook", "has more than it should in a run",
		}},
	} {
		t.Run(c.without, func(t *testing.T) {
			a := newArena(t, c.weaker)
			if c.oneUser {
				a.two = a.one
			}
			succeeded := 0
			for _, at := range allAttempts() {
				if !slices.Contains(c.succeed, at.what) {
					continue
				}
				if said := strings.TrimSpace(at.try(a)); regexp.MustCompile(at.refused).MatchString(said) {
					t.Logf("%s %s: is refused still: %s", at.by, at.what, shortened(said))
				} else {
					succeeded++
				}
			}
			if succeeded == 0 {
				t.Errorf("without %s every attempt is refused still: nothing tries it", c.without)
			}
			t.Logf("without %s %d of %d succeed", c.without, succeeded, len(c.succeed))
			a.Stop()
		})
	}
}

// shortened is the beginning and the end of a long text.
func shortened(text string) string {
	lines := strings.Split(text, "\n")
	if len(lines) <= 24 {
		return text
	}
	return strings.Join(lines[:12], "\n") + "\n…\n" + strings.Join(lines[len(lines)-12:], "\n")
}

func allAttempts() (all []attempt) {
	all = append(all, attemptsOfOwnCode()...)
	all = append(all, attemptsOfLocalUsers()...)
	all = append(all, attemptsOfClients()...)
	all = append(all, attemptsOfSuppliers()...)
	all = append(all, attemptsOfWays()...)
	all = append(all, attemptsToShow()...)
	all = append(all, attemptsOnSockets()...)
	all = append(all, attemptsWithFiles()...)
	all = append(all, attemptsInABox()...)
	all = append(all, attemptsBeyondLimits()...)
	return append(all, attemptsWithStaticFiles()...)
}
