package cli

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// matching returns the builds that match patterns, in the order of the file; without patterns all.
// A pattern that matches none is an error.
func matching(ctx context.Context, cl control.Client, patterns []string) ([]string, error) {
	st, err := cl.Status(ctx)
	if err != nil {
		return nil, requested(err)
	}
	all := buildNames(st)
	if len(patterns) == 0 {
		return all, nil
	}
	if err := known(patterns, all, st.Config.Path); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(name string) bool { return !matches(patterns, name) }), nil
}

// known returns an error for the first pattern that matches none of the builds of file, with what
// may have been meant.
func known(patterns, builds []string, file string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return usage(fmt.Errorf("pattern %q: want *, ? or [a-z] for what may vary", p))
		}
		if slices.ContainsFunc(builds, func(name string) bool { return matches([]string{p}, name) }) {
			continue
		}
		hint := "; there are: " + strings.Join(builds, ", ")
		if len(builds) == 0 {
			hint = "; there are none: add one, for example with `medctrl-supervisor new NAME --add`"
		}
		if strings.ContainsAny(p, "*?[") {
			return fmt.Errorf("no build in %s matches %q%s", file, p, hint)
		}
		if near := config.Near(p, builds); near != "" {
			hint = near
		}
		return fmt.Errorf("no build %q in %s%s", p, file, hint)
	}
	return nil
}

// matches reports whether a name matches one of the patterns (path.Match: * and ? and [a-z]).
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

func buildNames(st control.Status) []string {
	var names []string
	for _, b := range st.Builds {
		names = append(names, b.Name)
	}
	return names
}
