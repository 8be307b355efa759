package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// watchEvery is how often `status --watch` looks again.
const watchEvery = time.Second

func statusCommand(file *string) *cobra.Command {
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show what runs, and why something does not",
		Long: `Show the state of builds: what serves, since when, and why something does not.
NAME may be a pattern ("dev*"); without one it is all builds. One build named in
full is shown with its releases, its last build, events and output.

It waits for nothing; --watch goes on until Ctrl-C. The exit code says that the
supervisor answered, not that all is well: scripts read --json.`,
		Example: `  medctrl-supervisor status
  medctrl-supervisor status development
  medctrl-supervisor status --watch 'test*'
  medctrl-supervisor status --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, names []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if !watch {
				return showStatus(cmd.Context(), cl, out, names, asJSON)
			}
			for {
				if err := showAgain(cmd.Context(), cl, out, names, asJSON); err != nil {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(watchEvery):
				}
			}
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&watch, "watch", false, "show it again every second")
	return c
}

// showAgain shows the status in place of the one before: in a terminal over it, as
// far as the screen is high, without a flicker.
func showAgain(ctx context.Context, cl control.Client, out io.Writer, patterns []string, asJSON bool) error {
	if !isTerminal(out) || asJSON {
		return showStatus(ctx, cl, out, patterns, asJSON)
	}
	text := sized{of: out}
	if err := showStatus(ctx, cl, &text, patterns, asJSON); err != nil {
		return err
	}
	_, rows := screen(out)
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	if len(lines) > rows-1 {
		lines = append(lines[:rows-2], "... (a higher terminal shows more, or: status NAME)")
	}
	var frame strings.Builder
	frame.WriteString("\x1b[H") // home
	for _, line := range lines {
		frame.WriteString(line + "\x1b[K\n") // and clear the rest of the line
	}
	frame.WriteString("\x1b[J") // and of the screen
	_, err := io.WriteString(out, frame.String())
	return err
}

// sized gathers what is written for the terminal of.
type sized struct {
	strings.Builder
	of io.Writer
}

func showStatus(ctx context.Context, cl control.Client, out io.Writer, patterns []string, asJSON bool) error {
	st, err := cl.Status(ctx)
	if err != nil {
		return answered(err)
	}
	if len(patterns) == 1 && !asJSON && slices.Contains(buildNames(st), patterns[0]) {
		d, err := cl.Detail(ctx, patterns[0])
		if err != nil {
			return answered(err)
		}
		columns, _ := screen(screenOf(out))
		control.Long(out, d, columns, colored(out), time.Now())
		return nil
	}
	if len(patterns) > 0 {
		names, err := matching(ctx, cl, patterns)
		if err != nil {
			return err
		}
		st.Builds = slices.DeleteFunc(st.Builds, func(b control.BuildStatus) bool { return !slices.Contains(names, b.Name) })
	}
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	}
	columns, _ := screen(screenOf(out))
	control.Table(out, st, columns, colored(out), time.Now())
	return nil
}

// colored says whether out may have colours (no-color.org).
func colored(out io.Writer) bool { return isTerminal(screenOf(out)) && os.Getenv("NO_COLOR") == "" }

// screenOf is the terminal that what is written to out is for.
func screenOf(out io.Writer) io.Writer {
	if s, ok := out.(*sized); ok {
		return s.of
	}
	return out
}

func buildNames(st control.Status) []string {
	var names []string
	for _, b := range st.Builds {
		names = append(names, b.Name)
	}
	return names
}

func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
