package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// arguments are what a command needs to get as far as the supervisor.
var arguments = map[string][]string{"new": {"fresh"}, "stop": {"development"}, "rollback": {"development"}, "run": {"development", "true"}, "build": {"development"}, "export": {"kubernetes", "--image", "x.example/medctrl:r1"}}

// asks reports whether a command sends a request to the running supervisor.
func asks(name string) bool {
	return !slices.Contains([]string{"build", "check", "doctor", "export", "import", "new", "nginx", "version", "help", "completion"}, name)
}

// wrong is a command that fails, and what its error must say: what, why, and what to do.
type wrong struct {
	args []string
	code int
	says []string
}

func (d *desk) fails(cases ...wrong) {
	d.t.Helper()
	for _, c := range cases {
		out, errOut, code := d.run(c.args...)
		if code != c.code || out != "" || strings.Count(errOut, "\n") != 1 || !strings.HasPrefix(errOut, "medctrl-supervisor: ") {
			d.t.Errorf("%v: exit %d, want %d; %q %q", c.args, code, c.code, out, errOut)
		}
		for _, want := range c.says {
			if !strings.Contains(errOut, want) {
				d.t.Errorf("%v does not say %q: %s", c.args, want, errOut)
			}
		}
	}
}

func TestWrongUsageIsSaidWithWhereToLook(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fails(
		wrong{[]string{"--no-such"}, exitUsage, []string{"unknown flag --no-such", "(see: medctrl-supervisor help)"}},
		wrong{[]string{"--confg", "x"}, exitUsage, []string{`unknown flag --confg; did you mean "--config"?`}},
		wrong{[]string{"stauts"}, exitUsage, []string{`unknown command "stauts"; did you mean "status"?`, "(see: medctrl-supervisor help)"}},
		wrong{[]string{"frobnicate"}, exitUsage, []string{`unknown command "frobnicate"`, "(see: medctrl-supervisor help)"}},
		wrong{[]string{"ps"}, exitUsage, []string{`unknown command "ps"; here it is "status"`, "(see: medctrl-supervisor help)"}},
		wrong{[]string{"status", "--jsn"}, exitUsage, []string{`unknown flag --jsn; did you mean "--json"?`, "(see: medctrl-supervisor help status)"}},
		wrong{[]string{"status", "-x"}, exitUsage, []string{"unknown flag -x"}},
		wrong{[]string{"status", "--json=perhaps"}, exitUsage, []string{"--json=perhaps: want true or false"}},
		wrong{[]string{"logs", "-n", "many"}, exitUsage, []string{"--lines=many: want a whole number", "help logs"}},
		wrong{[]string{"events", "-n", "-1"}, exitUsage, []string{"--lines=-1: want a whole number", "help events"}},
		wrong{[]string{"logs", "--since", "then"}, exitUsage, []string{"--since=then: want how long ago"}},
		wrong{[]string{"rollback", "--to"}, exitUsage, []string{"needs an argument: --to", "help rollback"}},
		wrong{[]string{"rollback"}, exitUsage, []string{"rollback NAME", "rollback --all", "help rollback"}},
		wrong{[]string{"rollback", "--to", "2026"}, exitUsage, []string{"rollback NAME", "rollback --all"}},
		wrong{[]string{"rollback", "--all", "testing"}, exitUsage, []string{"leave out testing, or --all"}},
		wrong{[]string{"check", "x"}, exitUsage, []string{`check takes no argument, got "x"`, "help check"}},
		wrong{[]string{"new"}, exitUsage, []string{"new takes one argument", "help new"}},
		wrong{[]string{"new", "A"}, exitUsage, []string{"want at most 32 lower-case letters"}},
		wrong{[]string{"nginx", "--plain", "--upstreams"}, exitUsage, []string{"exclude each other", "help nginx"}},
		wrong{[]string{"export"}, exitUsage, []string{"`export kubernetes` or `export env NAME`", "help export"}},
		wrong{[]string{"export", "kubernets"}, exitUsage, []string{`not "kubernets"; did you mean "kubernetes"?`}},
		wrong{[]string{"export", "env"}, exitUsage, []string{"`export env NAME`"}},
		wrong{[]string{"export", "kubernetes"}, exitUsage, []string{"the image is missing: --image"}},
		wrong{[]string{"export", "kubernetes", "--image", "x:latest"}, exitUsage, []string{"a release needs a tag of its own"}},
		wrong{[]string{"export", "kubernetes", "--ingress", "traefik"}, exitUsage, []string{"want nginx"}},
		wrong{[]string{"export", "kubernetes", "--force"}, exitUsage, []string{"--force goes with --out"}},
		wrong{[]string{"export", "kubernetes", "--containerfile", "--out", "x"}, exitUsage, []string{"leave out --containerfile"}},
		wrong{[]string{"run", "--stop-signal", "INT", "a", "b"}, exitUsage, []string{"--stop-signal goes with --prebuilt"}},
		wrong{[]string{"run", "--prebuilt", "x", "--stop-signal", "NONE", "a", "b"}, exitUsage, []string{"want a signal such as QUIT"}},
		wrong{[]string{"run", "--prebuilt", "x", "--release", "y", "a", "b"}, exitUsage, []string{"leave out --release"}},
		wrong{[]string{"status", "--serving", "--json"}, exitUsage, []string{"--serving stands alone"}},
		wrong{[]string{"completion", "powershell"}, exitUsage, []string{`no completion for "powershell": want bash, zsh, fish`}},
		wrong{[]string{"help", "frobnicate"}, exitUsage, []string{`unknown command "frobnicate"`}},
	)
	for _, c := range commands() {
		d.fails(wrong{[]string{c.Name(), "--no-such"}, exitUsage, []string{"unknown flag --no-such", "(see: medctrl-supervisor help " + c.Name() + ")"}})
	}
}

func TestWithoutASupervisorEachCommandSaysWhereItLooked(t *testing.T) {
	t.Parallel()
	d, killed := newDesk(t), newDesk(t)
	if err := os.MkdirAll(filepath.Dir(killed.socket()), 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: killed.socket()}) // as one that was killed leaves it
		syscall.Close(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		if !asks(c.Name()) {
			continue
		}
		args := append([]string{c.Name()}, arguments[c.Name()]...)
		d.fails(wrong{args, exitNoSupervisor, []string{"no supervisor is running: there is no socket at " + d.socket() + ", the path that follows from " + d.file,
			"start one with `medctrl-supervisor -c " + d.file + "`", "of the running one with -c"}})
		killed.fails(wrong{args, exitNoSupervisor, []string{"nothing listens on " + killed.socket(), "medctrl-supervisor -c " + killed.file}})
	}
}

func TestAFileThatCannotBeReadIsSaidWithWhatToDo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.file = filepath.Join(d.dir, "nowhere.toml")
	names := []string{""}
	for _, c := range commands() {
		if !slices.Contains([]string{"version", "help", "completion", "import"}, c.Name()) { // these read none
			names = append(names, c.Name())
		}
	}
	for _, name := range names {
		var args []string
		if name != "" {
			args = append([]string{name}, arguments[name]...)
		}
		d.fails(wrong{args, exitFailed, []string{"open " + d.file + ": no such file", "with -c FILE, or in $MEDCTRL_CONFIG"}})
	}
	d.file = d.dir
	d.fails(wrong{[]string{"status"}, exitFailed, []string{d.dir + ": not a regular file"}})
}

// As a user who may do nothing.
func TestWhatIsForbiddenIsSaidWithWhoMay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
	secret := filepath.Join(d.dir, "secret.toml")
	if err := os.WriteFile(secret, []byte("root = \"root\"\n"), 0); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A copy: other users may not enter the folder that tests are built in. Not made by us: a test beside
	// this one may fork while we have it open for writing (ETXTBSY, execve(2)).
	program := filepath.Join(d.dir, programName)
	if out, err := exec.Command("cp", self, program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 {
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := os.Chmod(d.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(d.socket(), 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		if !asks(c.Name()) {
			continue
		}
		for file, says := range map[string][]string{
			d.file: {d.socket() + ": permission denied", "as root or as the user that the supervisor runs as"},
			secret: {"open " + secret + ": permission denied", "as root, or as a user who may read"},
		} {
			cmd := exec.Command(program, append([]string{"-c", file, c.Name()}, arguments[c.Name()]...)...)
			cmd.SysProcAttr = as
			_, errOut, code := d.give(cmd)
			for _, want := range says {
				if code != exitFailed || !strings.Contains(errOut, want) {
					t.Errorf("%s: exit %d, without %q: %s", c.Name(), code, want, errOut)
				}
			}
		}
	}
}

func TestAMistypedBuildIsSaidWithTheOneThatIsMeant(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
	for _, name := range []string{"status", "logs", "events", "start", "stop", "restart", "rebuild", "rollback"} {
		d.fails(
			wrong{[]string{name, "developmnt"}, exitFailed, []string{`no build "developmnt" in ` + d.file + `; did you mean "development"?`}},
			wrong{[]string{name, "production"}, exitFailed, []string{`no build "production" in ` + d.file + "; there are: development, testing\n"}},
			wrong{[]string{name, "prod*"}, exitFailed, []string{`no build in ` + d.file + ` matches "prod*"; there are: development, testing`}},
			wrong{[]string{name, "[a"}, exitUsage, []string{`pattern "[a": want *, ? or [a-z]`, "help " + name}},
		)
	}
	d.fails(wrong{[]string{"events", "-f", "developmnt"}, exitFailed, []string{`did you mean "development"?`}})
	if out, errOut, code := d.run("events", "removed"); code != 0 || !strings.Contains(out, "removed: exited") {
		t.Errorf("events of a build that was removed: exit %d, %q %q", code, out, errOut)
	}
	if out, errOut, code := d.run("restart", "dev*"); code != 0 || out != "development: restart done\n" {
		t.Errorf("restart of a pattern: exit %d, %q %q", code, out, errOut)
	}
}
