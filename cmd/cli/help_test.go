package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestEveryCommandIsExplainedWithExamplesThatParse(t *testing.T) {
	t.Parallel()
	root := Root("test")
	for _, c := range append(commands(), root) {
		if c.HasParent() && (c.GroupID == "" || !c.HasAvailableFlags() && c.ValidArgsFunction == nil && c.ValidArgs == nil) {
			t.Errorf("%s is in no group, or would complete to files", c.Name())
		}
		if c.Short == "" || len(c.Short) > 65 || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short is %q", c.Name(), c.Short)
		}
		if c.HasParent() && !regexp.MustCompile(`(?i)exit code|print|list all`).MatchString(c.Long) || len(c.Long) < 100 && c.Name() != "version" {
			t.Errorf("%s does not say what its result is: %q", c.Name(), c.Long)
		}
		for line := range strings.Lines(c.Long) {
			if len([]rune(line)) > 84 || strings.HasPrefix(line, " ") {
				t.Errorf("%s: a line of its help is too long, or would be filled in a manual page: %q", c.Name(), line)
			}
		}
		if c.Example == "" {
			t.Errorf("%s has no example", c.Name())
		}
		used := false
		for line := range strings.Lines(c.Example) {
			words := shellWords(line)
			if !strings.HasPrefix(line, "  ") || len(words) == 0 {
				t.Errorf("%s: example %q", c.Name(), line)
			} else if words[0] == programName {
				called, err := parses(words[1:])
				if err != nil {
					t.Errorf("%s: example %q: %v", c.Name(), line, err)
				}
				used = used || called == c.Name()
			}
		}
		if !used {
			t.Errorf("no example of %s calls it", c.Name())
		}
	}
}

// shellWords returns the words of a line, without quotes and up to a redirection.
func shellWords(line string) []string {
	line, _, _ = strings.Cut(line, " > ")
	words := strings.Fields(line)
	for i := range words {
		words[i] = strings.Trim(words[i], "'")
	}
	return words
}

// parses returns the command that args call, and an error where it does not accept them.
func parses(args []string) (string, error) {
	root := Root("test")
	cmd, rest, err := root.Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	return cmd.Name(), err
}

func TestEveryValueOfAFlagIsCompleted(t *testing.T) {
	t.Parallel()
	for _, c := range append(commands(), Root("test")) {
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			_, byFunc := c.GetFlagCompletionFunc(f.Name)
			if f.Value.Type() != "bool" && f.Name != "config" && !byFunc && f.Annotations[cobra.BashCompSubdirsInDir] == nil {
				t.Errorf("%s --%s VALUE completes to any file", c.Name(), f.Name)
			}
		})
	}
}

func TestHelpListsGroupsAndWhatHoldsForAll(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	out, _, code := d.run("help")
	for _, want := range []string{"\nLook:\n", "\nChange:\n", "\nSet up:\n", "\nThe program itself:\n", "\nExit codes:\n", "  3    no supervisor is running\n", "MEDCTRL_CONFIG", "NO_COLOR"} {
		if !strings.Contains(out, want) {
			t.Errorf("help does not have %q", want)
		}
	}
	if code != 0 || strings.Contains(out, "Additional Commands") || strings.Contains(out, "accept") {
		t.Errorf("help: exit %d\n%s", code, out)
	}
	for _, c := range commands() {
		help, _, code := d.run("help", c.Name())
		if flag, _, _ := d.run(c.Name(), "--help"); code != 0 || help != flag || !strings.HasPrefix(help, c.Long+"\n") || !strings.Contains(help, "\nExamples:\n") {
			t.Errorf("help %s: exit %d\n%s", c.Name(), code, help)
		}
		for line := range strings.Lines(help) {
			if len([]rune(line)) > 100 {
				t.Errorf("help %s: too long a line: %s", c.Name(), line)
			}
		}
	}
	if _, errOut, code := d.run("help", "rolback"); code != exitUsage || !strings.Contains(errOut, `did you mean "rollback"?`) {
		t.Errorf("help of no command: exit %d, %s", code, errOut)
	}
}

func TestTheCommandsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range commands() {
		names = append(names, c.Name())
	}
	want := []string{"build", "check", "completion", "deploy", "doctor", "events", "export", "help", "import", "logs", "new", "nginx", "rebuild", "reload", "restart", "rollback", "run", "start", "status", "stop", "upgrade", "version"}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("the commands are %v, want %v", names, want)
	}
}
