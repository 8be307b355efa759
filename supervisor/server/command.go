package server

import "github.com/medctrl/medctrl-supervisor/config"

// Command is a server that the key `command` names. It takes its listener by LISTEN_FDS
// (sd_listen_fds(3)).
type Command struct{ Entry config.Build }

// Argv is the command with its braces filled in.
func (c Command) Argv(p Place) ([]string, []File) {
	return p.braces().Fill(c.Entry.Command...), nil
}

// SaysReady is false: only its answer to the health probe tells.
func (Command) SaysReady() bool { return false }

// Exit returns words: what its codes mean is not known.
func (Command) Exit(words string, _ int) string { return words }

// LastWords returns the last lines.
func (Command) LastWords(output []string) []string { return lastWords(output) }
