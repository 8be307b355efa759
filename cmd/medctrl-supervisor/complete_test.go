package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// completions are what a person types before Tab, what must come, and what must
// not. The supervisor that answers has the builds development and testing; the
// file has none.
var completions = []struct {
	typed  string
	want   []string
	absent []string
}{
	{"restart ", []string{"development", "testing"}, nil},
	{"restart dev", []string{"development"}, []string{"testing"}},
	{"logs development ", []string{"testing"}, nil},
	{"rollback development --to ", []string{"20260102T000000-bbbbbb", "20260101T000000-aaaaaa"}, []string{"20260103", "20260104"}},
	{"rollback testing --to ", []string{"20260104T000000-dddddd"}, []string{"20260105", "20260101"}},
	{"status --", []string{"--json", "--watch"}, []string{"--to"}},
	{"rolls", nil, nil},
	{"rol", []string{"rollback"}, []string{"restart"}},
	{"help ", []string{"rollback", "completion"}, []string{"development"}},
	{"completion ", []string{"bash", "fish", "zsh"}, nil},
	{"check ", nil, []string{"builds.toml", "root"}},
	{"new ", nil, []string{"builds.toml", "development"}},
}

// errorText is of errors that would come between what a person types.
var errorText = regexp.MustCompile(`(?i)medctrl-supervisor:|no such|not found|denied|cannot|refused|socket|error|usage`)

func TestShellsCompleteNamesOfTheRunningSupervisor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve()
	eachShell(t, d, func(t *testing.T, complete func(typed string, want []string) string) {
		for _, c := range completions {
			typed := "medctrl-supervisor -c builds.toml " + c.typed
			got := complete(typed, c.want)
			for _, name := range c.want {
				if !strings.Contains(got, name) {
					t.Errorf("%q is not completed to %s: %q", c.typed, name, got)
				}
			}
			for _, name := range c.absent {
				if strings.Contains(strings.TrimPrefix(got, typed), name) {
					t.Errorf("%q is completed to %s: %q", c.typed, name, got)
				}
			}
		}
	})
}

func TestShellsAreSilentWithoutASupervisor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	other := filepath.Join(d.dir, "bad")
	if err := os.WriteFile(other, []byte("root = \n[[["), 0o644); err != nil {
		t.Fatal(err)
	}
	eachShell(t, d, func(t *testing.T, complete func(typed string, want []string) string) {
		for _, file := range []string{"builds.toml", "bad", "nowhere"} {
			for _, typed := range []string{"restart ", "rollback x --to ", "logs x"} {
				if got := complete("medctrl-supervisor -c "+file+" "+typed, nil); errorText.MatchString(got) {
					t.Errorf("-c %s %q prints %q", file, typed, got)
				}
			}
		}
		if got := complete("medctrl-supervisor -c nowhere restart --no", []string{"--no-wait"}); !strings.Contains(got, "--no-wait") {
			t.Errorf("flags are not completed: %q", got)
		}
	})
}

// Where none runs, the names in the file are the next best.
func TestNamesInTheFileAreCompletedWithoutASupervisor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.file = filepath.Join("..", "..", "examples", "builds.toml")
	var err error
	if d.file, err = filepath.Abs(d.file); err != nil {
		t.Fatal(err)
	}
	if out, errOut, _ := d.run("__complete", "start", ""); !strings.HasPrefix(out, "development\ntesting\n") {
		t.Errorf("%q %q", out, errOut)
	}
}

func TestASupervisorThatHangsDoesNotHoldThePersonAtTab(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ln, err := control.Listen(d.socket()) // and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	begun := time.Now()
	out, _, code := d.run("__complete", "restart", "")
	if took := time.Since(begun); out != ":4\n" || code != 0 || took > 5*completePatience {
		t.Errorf("after %v: exit %d, %q", took, code, out)
	}
}

// eachShell has a person press Tab in each of the shells that is here. The scripts
// lie where `make install` puts them, and are found by the shells themselves.
// complete answers what is on the screen then.
func eachShell(t *testing.T, d *desk, then func(t *testing.T, complete func(typed string, want []string) string)) {
	share := pages(t, d)
	env := append(d.env(), "XDG_DATA_DIRS="+share+":/usr/local/share:/usr/share", "BASH_COMPLETION_USER_DIR="+filepath.Join(share, "bash-completion"),
		"TERM=dumb", "PS1=$ ", "HISTFILE=")
	here := func(t *testing.T, shell string) {
		if _, err := exec.LookPath(shell); err != nil {
			t.Skip(shell + " is not here")
		}
	}
	t.Run("bash", func(t *testing.T) {
		here(t, "bash")
		const package_ = "/usr/share/bash-completion/bash_completion"
		if _, err := os.Stat(package_); err != nil {
			t.Skip("bash-completion is not here")
		}
		s := openScreen(t, d.dir, env, "bash", "--norc", "--noprofile", "-i")
		s.ready("bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; . " + package_)
		then(t, s.complete)
	})
	t.Run("zsh", func(t *testing.T) {
		here(t, "zsh")
		s := openScreen(t, d.dir, env, "zsh", "-f", "-i")
		s.ready("fpath=(" + filepath.Join(share, "zsh/site-functions") + " $fpath); unset zle_bracketed_paste; setopt no_beep no_list_ambiguous; PS1='$ '; autoload -Uz compinit; compinit -u -D")
		then(t, s.complete)
	})
	t.Run("fish", func(t *testing.T) {
		here(t, "fish")
		then(t, func(typed string, _ []string) string {
			cmd := exec.Command("fish", "--private", "-c", "complete -C "+`"`+typed+`"`)
			cmd.Env = append(env, "XDG_CONFIG_HOME="+filepath.Join(d.dir, "config"))
			out, errOut, _ := d.give(cmd)
			return out + errOut
		})
	})
}

// screenOfShell is a terminal with a shell in it.
type screenOfShell struct {
	t      *testing.T
	master *os.File
	asked  int

	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // something was printed
}

func openScreen(t *testing.T, dir string, env []string, argv ...string) *screenOfShell {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals are to be had: ", err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 200, Col: 250})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, env, slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &screenOfShell{t: t, master: master, more: make(chan struct{}, 1)}
	var read sync.WaitGroup
	read.Go(func() {
		for text := make([]byte, 4096); ; {
			n, err := master.Read(text)
			if err != nil {
				return // the shell has ended
			}
			s.mu.Lock()
			s.text.Write(text[:n])
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default: // it was said, and not heard yet
			}
		}
	})
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()
		read.Wait()
		master.Close()
	})
	return s
}

// since is what was printed after so many bytes.
func (s *screenOfShell) since(at int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text.Bytes()[min(at, s.text.Len()):])
}

func (s *screenOfShell) send(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until what was printed after so many bytes is as wanted.
func (s *screenOfShell) await(at int, what string, holds func(string) bool) {
	s.t.Helper()
	for limit := time.After(30 * time.Second); !holds(s.since(at)); {
		select {
		case <-s.more:
		case <-limit:
			s.t.Fatalf("waited in vain for %s: %s", what, s.since(at))
		}
	}
}

// ready gives a command and waits until it was done. What it waits for is not
// what is typed: the quotes.
func (s *screenOfShell) ready(command string) {
	s.t.Helper()
	s.asked++
	at := len(s.since(0))
	s.send(fmt.Sprintf("%s; echo don''e-%d\r", command, s.asked))
	want := fmt.Sprintf("done-%d", s.asked)
	s.await(at, want+" and a prompt", func(got string) bool {
		_, after, done := strings.Cut(got, want+"\r\n")
		return done && strings.Contains(after, "$ ")
	})
}

// complete types, presses Tab, waits for what is wanted, takes back what was
// typed, and answers what was on the screen.
func (s *screenOfShell) complete(typed string, want []string) string {
	s.t.Helper()
	at := len(s.since(0))
	s.send(typed + "\t")
	s.await(at, fmt.Sprintf("%q after %q and Tab", want, typed), func(got string) bool {
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(got, w) })
	})
	s.ready("\x15:") // Ctrl-U
	got, _, _ := strings.Cut(s.since(at), ":; echo don''e")
	return got
}
