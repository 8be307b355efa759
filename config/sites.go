package config

import (
	"fmt"
	"slices"
)

// sites says where in the files everything stands.
type sites struct {
	*document
	builds []origins // in the order of Config.Builds
}

// Wrong is a mistake in a key of a build, or with no build in one below [supervisor], that was found
// after the file had been checked. It is for what Check returned.
func (c *Config) Wrong(build, key, format string, args ...any) Error {
	e := Error{File: c.Path, Key: key, Msg: fmt.Sprintf(format, args...)}
	if c.sites == nil {
		return e
	}
	e.File = c.sites.file
	at := c.sites.at.value(join("supervisor", key))
	if i := c.index(build); i >= 0 {
		from := c.sites.builds[i]
		o, ok := from[key]
		if !ok {
			o = from["name"] // it is a default of ours
		}
		e.File, at = o.in.file, o.place()
	}
	e.Line, e.Col = at.line, at.col
	return e
}

// WrongRoot is Wrong of the key root.
func (c *Config) WrongRoot(format string, args ...any) Error {
	e := Error{File: c.Path, Key: "root", Msg: fmt.Sprintf(format, args...)}
	if c.sites != nil {
		at := c.sites.at.value("root")
		e.File, e.Line, e.Col = c.sites.file, at.line, at.col
	}
	return e
}

// Refused says whether a key of a build was refused, so that nothing follows from its value.
func (c *Config) Refused(build string, keys ...string) bool {
	i := c.index(build)
	return c.sites != nil && i >= 0 && slices.ContainsFunc(keys, func(key string) bool { return c.sites.builds[i][key].bad })
}

func (c *Config) index(build string) int {
	return slices.IndexFunc(c.Builds, func(b Build) bool { return build != "" && b.Name == build })
}
