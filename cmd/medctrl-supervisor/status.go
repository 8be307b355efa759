package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
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
		Use:               "status [NAME...]",
		Short:             "Show what runs, and why something does not",
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
				if isTerminal(out) && !asJSON {
					fmt.Fprint(out, "\x1b[H\x1b[2J") // home, clear
				}
				if err := showStatus(cmd.Context(), cl, out, names, asJSON); err != nil {
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
		control.Long(out, d, width(out), colored(out), time.Now())
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
	control.Table(out, st, width(out), colored(out), time.Now())
	return nil
}

// colored says whether out may have colours (no-color.org).
func colored(out io.Writer) bool { return isTerminal(out) && os.Getenv("NO_COLOR") == "" }

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

// width of the terminal in columns; 80 where there is none.
func width(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}
