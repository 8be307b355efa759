package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
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
lines themselves begin with.`,
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
	c.Flags().IntVarP(&q.Lines, "lines", "n", 100, "how many lines of each")
	c.Flags().Var(&since, "since", "only what was written since then: 1h30m, 15:04, \"2006-01-02 15:04\"")
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
may be a pattern; without one it is all builds.`,
		Example: `  medctrl-supervisor events -f
  medctrl-supervisor events development --since 1h --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			err = cl.Events(cmd.Context(), follow, func(e control.Event) error {
				if e.Time.Before(since.Time) || len(patterns) > 0 && !matches(patterns, e.Build) {
					return nil
				}
				return printEvent(out, e, asJSON)
			})
			return answered(err)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().Var(&since, "since", "only what happened since then: 1h30m, 15:04, \"2006-01-02 15:04\"")
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

// matching answers the builds that patterns are for, in the order of the file;
// without patterns all. A pattern for none is an error.
func matching(ctx context.Context, cl control.Client, patterns []string) ([]string, error) {
	st, err := cl.Status(ctx)
	if err != nil {
		return nil, answered(err)
	}
	all := buildNames(st)
	if len(patterns) == 0 {
		return all, nil
	}
	for _, p := range patterns {
		if !slices.ContainsFunc(all, func(name string) bool { return matches([]string{p}, name) }) {
			return nil, fmt.Errorf("no build is named %q; there are: %s", p, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(all, func(name string) bool { return !matches(patterns, name) }), nil
}

// matches says whether a name is meant by one of the patterns (path.Match: * and
// ? and [a-z]).
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// completeBuilds completes names of builds, of the running supervisor or else of
// the file.
func completeBuilds(file *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []string
		if cl, err := client(*file); err == nil {
			if st, err := cl.Status(cmd.Context()); err == nil {
				names = buildNames(st)
			}
		}
		if names == nil {
			if cfg, err := config.Load(*file); err == nil {
				for _, b := range cfg.Builds {
					names = append(names, b.Name)
				}
			}
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(given, name) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
