package server

import (
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// PrivateFD is the number of the second listener, which follows the first (sd_listen_fds(3)).
const PrivateFD = 4

// Command is a server that the key `command` names. It gets its listener through LISTEN_FDS
// (sd_listen_fds(3)).
type Command struct{ Entry *config.Build }

// Argv is the command with its braces filled in.
func (c Command) Argv(p Place) ([]string, []File) {
	argv := p.braces().Fill(c.Entry.Command...)
	for i, arg := range argv {
		argv[i] = strings.ReplaceAll(arg, config.BracePrivate, strconv.Itoa(PrivateFD))
	}
	return argv, nil
}

// SaysReady returns false: only the health probe can tell.
func (Command) SaysReady() bool { return false }

// FinishesAtTerm returns true of gunicorn alone: waitress, daphne, hypercorn and uWSGI drop requests, and a
// process without a handler just dies.
func (c Command) FinishesAtTerm() bool { return c.Entry.ServerName() == "gunicorn" }

// TakesTwo returns whether the command says so: most take the first listener and leave the others alone,
// and probes would wait there for ever.
func (c Command) TakesTwo() bool { return c.Entry.TakesTwo() }

// KeepsQueue returns false: daphne leaves room for 50 and has no option for more.
func (Command) KeepsQueue() bool { return false }

// Exit returns words unchanged: the meaning of its codes is not known.
func (Command) Exit(words string, _ int) string { return words }

// LastWords returns the last lines.
func (Command) LastWords(output []string) []string { return lastWords(output) }
