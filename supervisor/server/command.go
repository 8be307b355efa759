package server

import (
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Command is a server that the key `command` names. It takes its listener by LISTEN_FDS
// (sd_listen_fds(3)).
type Command struct{ Entry config.Build }

// Argv is the command with its braces filled in.
func (c Command) Argv(p Place) ([]string, []File) {
	r := strings.NewReplacer("{python}", p.Release.Python(), "{venv}", p.Release.Venv,
		"{release}", p.Release.Dir, "{app}", p.App, "{data}", p.Paths.Data())
	argv := make([]string, len(c.Entry.Command))
	for i, arg := range c.Entry.Command {
		argv[i] = r.Replace(arg)
	}
	return argv, nil
}

// SaysReady is false: only its answer to the health probe tells.
func (Command) SaysReady() bool { return false }

// Exit returns words: what its codes mean is not known.
func (Command) Exit(words string, _ int) string { return words }

// LastWords returns the last lines.
func (Command) LastWords(output []string) []string { return lastWords(output) }
