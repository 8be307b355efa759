package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// completions are what a person types before Tab, what must appear, and what must not. The running
// supervisor has the builds development and testing; the file has none.
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

// errorText matches errors that would land in what a person is typing.
var errorText = regexp.MustCompile(`(?i)medctrl-supervisor:|no such|not found|denied|cannot|refused|socket|error|usage`)

func TestShellsCompleteNamesOfTheRunningSupervisor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})
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
	typed := map[string][]string{"builds.toml": {"restart", ""}, "bad": {"rollback", "x", "--to", ""}, "nowhere": {"logs", "x"}}
	for file := range typed {
		for _, words := range typed {
			d.file = filepath.Join(d.dir, file)
			if out, errOut, code := d.run(append([]string{"__complete"}, words...)...); code != 0 || errorText.MatchString(out) {
				t.Errorf("-c %s %q prints %q and %q, exit %d", file, words, out, errOut, code)
			}
		}
	}
	eachShell(t, d, func(t *testing.T, complete func(typed string, want []string) string) {
		for file, words := range typed {
			if got := complete("medctrl-supervisor -c "+file+" "+strings.Join(words, " "), nil); errorText.MatchString(got) {
				t.Errorf("-c %s %q prints %q", file, words, got)
			}
		}
		if got := complete("medctrl-supervisor -c nowhere restart --no", []string{"--no-wait"}); !strings.Contains(got, "--no-wait") {
			t.Errorf("flags are not completed: %q", got)
		}
	})
}

// Where no supervisor is running, the names in the file are the next best.
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
	ln, err := control.Listen(d.socket(), control.NoGroup) // and nobody accepts
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

// eachShell has a person press Tab in each of the shells that is installed. The scripts lie where
// `make install` puts them, and the shells find them themselves. complete returns what is on the
// screen then.
func eachShell(t *testing.T, d *desk, then func(t *testing.T, complete func(typed string, want []string) string)) {
	share := filepath.Join(d.dir, "share")
	for shell, path := range map[string]string{
		"bash": "bash-completion/completions/medctrl-supervisor",
		"zsh":  "zsh/site-functions/_medctrl-supervisor",
		"fish": "fish/vendor_completions.d/medctrl-supervisor.fish",
	} {
		script, _, _ := d.run("completion", shell)
		path = filepath.Join(share, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(script), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	env := append(d.env(), "XDG_DATA_DIRS="+share+":/usr/local/share:/usr/share", "BASH_COMPLETION_USER_DIR="+filepath.Join(share, "bash-completion"),
		"TERM=dumb", "PS1=$ ", "HISTFILE=")
	need := func(t *testing.T, shell string) {
		if _, err := exec.LookPath(shell); err != nil {
			t.Skip(shell + " is not installed")
		}
	}
	t.Run("bash", func(t *testing.T) {
		need(t, "bash")
		const package_ = "/usr/share/bash-completion/bash_completion"
		if _, err := os.Stat(package_); err != nil {
			t.Skip("bash-completion is not installed")
		}
		s := openShell(t, d.dir, env, "bash", "--norc", "--noprofile", "-i")
		s.ready("bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; . " + package_)
		then(t, s.complete)
	})
	t.Run("zsh", func(t *testing.T) {
		need(t, "zsh")
		s := openShell(t, d.dir, env, "zsh", "-f", "-i")
		s.ready("fpath=(" + filepath.Join(share, "zsh/site-functions") + " $fpath); unset zle_bracketed_paste; setopt no_beep no_list_ambiguous; " +
			"PS1='$ '; autoload -Uz compinit; compinit -u -D")
		then(t, s.complete)
	})
	t.Run("fish", func(t *testing.T) {
		need(t, "fish")
		then(t, func(typed string, _ []string) string {
			cmd := exec.Command("fish", "--private", "-c", "complete -C "+`"`+typed+`"`)
			cmd.Env = append(env, "XDG_CONFIG_HOME="+filepath.Join(d.dir, "config"))
			out, errOut, _ := d.give(cmd)
			return out + errOut
		})
	})
}
