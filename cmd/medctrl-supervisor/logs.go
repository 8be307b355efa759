package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func logsCommand(file *string) *cobra.Command {
	var q control.LogQuery
	var since moment
	c := &cobra.Command{
		Use:   "logs [NAME...]",
		Short: "Show what builds' servers print, or their builds",
		Long: `Show what the servers of builds print, or with --build what their last build
printed. NAME may be a pattern ("dev*"); without one it is all builds. The lines of
several builds have their names before them. --since goes by the times that the
lines themselves begin with.

It waits for nothing; -f goes on until Ctrl-C, or until the supervisor ends,
which is exit code 1.`,
		Example: `  medctrl-supervisor logs -f
  medctrl-supervisor logs development -n 50
  medctrl-supervisor logs --since 1h development
  medctrl-supervisor logs --build 'test*'`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			names, err := matching(cmd.Context(), cl, patterns)
			if err != nil {
				return err
			}
			q.Since = since.Time
			if !since.IsZero() && !cmd.Flags().Changed("lines") {
				q.Lines = control.MaxLines
			}
			return showLogs(cmd.Context(), cl, cmd.OutOrStdout(), names, q)
		},
	}
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what comes")
	c.Flags().IntVarP(&q.Lines, "lines", "n", 100, "show the last `N` lines of each")
	completeValues(c, "lines")
	c.Flags().Var(&since, "since", "only what was written since then: 1h30m, 15:04, \"2006-01-02 15:04\"")
	completeValues(c, "since", "10m", "1h", "24h")
	c.Flags().BoolVar(&q.Build, "build", false, "what the last build printed")
	return c
}

// showLogs writes the logs of builds, side by side where they are followed.
func showLogs(ctx context.Context, cl control.Client, out io.Writer, names []string, q control.LogQuery) error {
	if len(names) == 1 {
		return answered(cl.Log(ctx, names[0], q, func(text []byte) error {
			_, err := out.Write(text)
			return err
		}))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	var mu sync.Mutex // a line at a time
	errs := make(chan error, len(names))
	one := func(i int, name string) {
		l := &prefixed{out: out, mu: &mu, prefix: fmt.Sprintf("%-*s | ", width, name)}
		if isTerminal(out) && os.Getenv("NO_COLOR") == "" {
			l.prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 31+(i+1)%6, l.prefix)
		}
		err := cl.Log(ctx, name, q, l.write)
		l.end()
		errs <- err
	}
	for i, name := range names {
		if q.Follow {
			go one(i, name)
		} else {
			one(i, name)
		}
	}
	for range names {
		if err := <-errs; err != nil {
			return answered(err)
		}
	}
	return nil
}

// prefixed writes whole lines with a name before each.
type prefixed struct {
	out    io.Writer
	mu     *sync.Mutex
	prefix string
	rest   []byte
}

func (p *prefixed) write(text []byte) error {
	p.rest = append(p.rest, text...)
	whole := bytes.LastIndexByte(p.rest, '\n') + 1
	if whole == 0 {
		return nil
	}
	var lines strings.Builder
	for line := range bytes.Lines(p.rest[:whole]) {
		lines.WriteString(p.prefix + string(line))
	}
	p.rest = append([]byte(nil), p.rest[whole:]...)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := io.WriteString(p.out, lines.String())
	return err
}

// end writes a last line that has no end.
func (p *prefixed) end() {
	if len(p.rest) > 0 {
		_ = p.write([]byte{'\n'}) // the reader has gone, or not
	}
}

func eventsCommand(file *string) *cobra.Command {
	var follow, asJSON bool
	var since moment
	c := &cobra.Command{
		Use:   "events [NAME...]",
		Short: "Show what happened to builds, in order",
		Long: `Show what happened to builds, in order, across restarts of the supervisor. NAME
may be a pattern ("dev*"); without one it is all builds.

It waits for nothing; -f goes on until Ctrl-C, or until the supervisor ends,
which is exit code 1.`,
		Example: `  medctrl-supervisor events -f
  medctrl-supervisor events development --since 1h --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			if follow { // a name that was mistyped would be waited for in vain
				if _, err := matching(cmd.Context(), cl, patterns); err != nil {
					return err
				}
			}
			out := cmd.OutOrStdout()
			var seen []string
			err = cl.Events(cmd.Context(), follow, func(e control.Event) error {
				if !slices.Contains(seen, e.Build) {
					seen = append(seen, e.Build)
				}
				if e.Time.Before(since.Time) || len(patterns) > 0 && !matches(patterns, e.Build) {
					return nil
				}
				return printEvent(out, e, asJSON)
			})
			if err != nil || follow || len(patterns) == 0 {
				return answered(err)
			}
			st, err := cl.Status(cmd.Context())
			if err != nil {
				return answered(err)
			}
			// What was removed from the file still has its events.
			rest := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool {
				return slices.ContainsFunc(seen, func(name string) bool { return matches([]string{p}, name) })
			})
			return known(rest, buildNames(st), st.Config.Path)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().Var(&since, "since", "only what happened since then: 1h30m, 15:04, \"2006-01-02 15:04\"")
	completeValues(c, "since", "10m", "1h", "24h")
	return c
}

func printEvent(out io.Writer, e control.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(e)
	}
	words := []string{e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Build + ":", strings.ReplaceAll(e.Event, "_", " ")}
	if e.Release != "" {
		words = append(words, "release "+e.Release)
	}
	if e.Pid != 0 {
		words = append(words, fmt.Sprintf("pid %d", e.Pid))
	}
	if e.Reason != "" {
		words = append(words, "("+control.Clean(e.Reason)+")")
	}
	_, err := fmt.Fprintln(out, strings.Join(words, " "))
	return err
}
