package cli

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func eventsCommand(file *string) *cobra.Command {
	var follow, asJSON bool
	var since, until moment
	var last uint
	c := &cobra.Command{
		Use:   "events [NAME...]",
		Short: "Show what happened to builds, in order",
		Long: `Show what happened to builds, in order, across restarts of the supervisor. NAME
may be a pattern ("dev*"); without one it is all builds.

The command returns at once; with -f it goes on until Ctrl-C, or until the
supervisor ends, which is exit code 1.`,
		Example: `  medctrl-supervisor events -f
  medctrl-supervisor events development -n 20
  medctrl-supervisor events --since yesterday --until today --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			ctx, stop := untilQuit(cmd.Context())
			defer stop()
			cl, err := client(*file)
			if err != nil {
				return err
			}
			if follow { // waiting for events of a mistyped name would be in vain
				if _, err := matching(ctx, cl, patterns); err != nil {
					return err
				}
			}
			out, zone := cmd.OutOrStdout(), zoneOf(cmd)
			begin, end := since.in(zone), until.in(zone)
			write := func(e control.Event) error { return show.Event(out, e, zone) }
			if asJSON {
				enc := json.NewEncoder(show.JSON(out))
				write = func(e control.Event) error { return enc.Encode(e) }
			}
			var seen []string // builds that have events
			wanted := func(e control.Event) bool {
				if !slices.Contains(seen, e.Build) {
					seen = append(seen, e.Build)
				}
				return !e.Time.Before(begin) && (end.IsZero() || e.Time.Before(end)) && (len(patterns) == 0 || matches(patterns, e.Build))
			}
			past := time.Time{} // followed events up to then are not shown
			if cmd.Flags().Changed("lines") {
				var kept []control.Event
				err := cl.Events(ctx, false, func(e control.Event) error {
					past = e.Time
					if wanted(e) {
						kept = append(kept, e)
					}
					return nil
				})
				if err != nil {
					return requested(err)
				}
				for _, e := range kept[max(len(kept)-int(min(last, math.MaxInt32)), 0):] {
					if err := write(e); err != nil {
						return err
					}
				}
			}
			if follow || !cmd.Flags().Changed("lines") {
				err = cl.Events(ctx, follow, func(e control.Event) error {
					if !wanted(e) || !past.IsZero() && !e.Time.After(past) {
						return nil
					}
					return write(e)
				})
			}
			if follow && ctx.Err() != nil {
				return nil // they were followed long enough
			}
			if err != nil || follow || len(patterns) == 0 {
				return requested(err)
			}
			st, err := cl.Status(ctx)
			if err != nil {
				return requested(err)
			}
			// A build that was removed from the file still has its events.
			rest := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool {
				return slices.ContainsFunc(seen, func(name string) bool { return matches([]string{p}, name) })
			})
			return known(rest, buildNames(st), st.Config.Path)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events as they come")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().UintVarP(&last, "lines", "n", 0, "show only the last `N` events")
	completeValues(c, "lines")
	c.Flags().Var(&until, "until", "only events before then")
	completeValues(c, "until", "10m", "1h", "today")
	c.Flags().Var(&since, "since", "only events since then: 1h30m, 2d, yesterday, 15:04")
	completeValues(c, "since", "10m", "1h", "2d", "today", "yesterday")
	return c
}
