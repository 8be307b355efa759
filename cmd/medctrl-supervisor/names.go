package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

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
	if err := known(patterns, all, st.Config.Path); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(name string) bool { return !matches(patterns, name) }), nil
}

// known says which of the patterns is for none of the builds of file, and what
// may have been meant.
func known(patterns, builds []string, file string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return usage(fmt.Errorf("pattern %q: want *, ? or [a-z] for what may vary", p))
		}
		if slices.ContainsFunc(builds, func(name string) bool { return matches([]string{p}, name) }) {
			continue
		}
		there := "; there are: " + strings.Join(builds, ", ")
		if len(builds) == 0 {
			there = "; there are none: add one, for example by `medctrl-supervisor new NAME --add`"
		}
		if strings.ContainsAny(p, "*?[") {
			return fmt.Errorf("no build in %s is named like %q%s", file, p, there)
		}
		if near := config.Near(p, builds); near != "" {
			there = near
		}
		return fmt.Errorf("no build %q in %s%s", p, file, there)
	}
	return nil
}

// matches says whether a name is meant by one of the patterns (path.Match: * and
// ? and [a-z]).
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}
