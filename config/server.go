package config

import (
	"path"
	"slices"
	"strings"
)

// BracePrivate is filled in in the command of a server: the number of a second listener, where it alone
// takes clients and is probed.
const BracePrivate = "{private}"

// TakesTwo reports whether the build's server serves a second listener beside the first. gunicorn serves all
// that LISTEN_FDS announces (gunicorn, systemd.py: listen_fds), any other one those that its command names:
// by number, or as daphne does by index.
func (b *Build) TakesTwo() bool {
	return len(b.Command) == 0 || b.ServerName() == "gunicorn" || slices.ContainsFunc(b.Command, func(arg string) bool {
		return strings.Contains(arg, BracePrivate) || strings.HasPrefix(arg, "systemd:") && strings.HasSuffix(arg, ":index=1")
	})
}

// known are servers that a line of Python may start.
var known = []string{"waitress", "uvicorn", "hypercorn", "daphne", "gunicorn"}

// ServerName is what the build's server is called: the program of its command, or what Python runs there.
func (b *Build) ServerName() string {
	if len(b.Command) == 0 {
		return "gunicorn"
	}
	name := path.Base(b.Command[0])
	if b.Command[0] != "{python}" && !strings.HasPrefix(name, "python") {
		return name
	}
	for i, arg := range b.Command[1:] {
		next := ""
		if i+2 < len(b.Command) {
			next = b.Command[i+2]
		}
		switch {
		case arg == "-m" && next != "":
			return next
		case arg == "-c":
			for _, one := range known {
				if strings.Contains(next, one+".") {
					return one
				}
			}
			return "python -c"
		case !strings.HasPrefix(arg, "-"):
			return path.Base(arg)
		}
	}
	return "python"
}
