package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// completePatience is how long a person who pressed Tab waits for the supervisor.
const completePatience = 2 * time.Second

// running returns the status of the running supervisor, false where there is none. Errors are not
// printed: their text would land in what the person is typing.
func running(cmd *cobra.Command, file string) (control.Status, bool) {
	cl, err := client(file)
	if err != nil {
		return control.Status{}, false
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completePatience)
	defer cancel()
	st, err := cl.Status(ctx)
	return st, err == nil
}

// completeBuilds completes names of builds, from the running supervisor or else from the file.
func completeBuilds(file *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []string
		if st, ok := running(cmd, *file); ok {
			names = buildNames(st)
		} else if cfg, err := config.Load(*file); err == nil {
			for _, b := range cfg.Builds {
				names = append(names, b.Name)
			}
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(given, name) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeReleases completes the releases that the builds on the command line can go back to, the
// newest first.
func completeReleases(file *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		st, _ := running(cmd, *file)
		var all []cobra.Completion
		for _, b := range st.Builds {
			if len(given) > 0 && !matches(given, b.Name) {
				continue
			}
			for _, release := range slices.Backward(b.Releases) {
				if release != b.Release {
					all = append(all, cobra.CompletionWithDesc(release, "of "+b.Name))
				}
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeKept completes the releases that are kept, of the build on the command line where one is
// given, the newest first.
func completeKept(file *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		st, _ := running(cmd, *file)
		var all []cobra.Completion
		for _, b := range st.Builds {
			if len(given) > 0 && given[0] != b.Name {
				continue
			}
			for _, release := range slices.Backward(b.Releases) {
				all = append(all, cobra.CompletionWithDesc(release, "of "+b.Name))
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeValues completes the value of a flag to the given ones, and never to files.
func completeValues(c *cobra.Command, flag string, values ...cobra.Completion) {
	must(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)))
}
