package server

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Process is a long-running process beside the server, of a table [[build.process]].
type Process struct{ Of *config.Process }

// Argv is the command with its braces filled in. manage.py and python are those of the release.
func (p Process) Argv(at Place) ([]string, []File) {
	return Once{Argv: p.Of.Command, Braces: true}.argv(at), nil
}

// SaysReady returns false: it has no workers of which we know.
func (Process) SaysReady() bool { return false }

// FinishesAtTerm returns true: what it does with its signal is its own matter.
func (Process) FinishesAtTerm() bool { return true }

// KeepsQueue returns true: it has none.
func (Process) KeepsQueue() bool { return true }

// TakesTwo returns false: it has no listener.
func (Process) TakesTwo() bool { return false }

// Exit returns words unchanged: the meaning of its codes is not known.
func (Process) Exit(words string, _ int) string { return words }

// LastWords returns the last line: the log is shared with the server, and those before may be the server's.
func (Process) LastWords(output []string) []string {
	words := lastWords(output)
	return words[max(len(words)-1, 0):]
}

// The environment variables in which an instance carries which one it is.
const (
	processKey = "MEDCTRL_PROCESS"
	indexKey   = "MEDCTRL_PROCESS_INDEX"
)

// prepareProcess returns how to start instances of a process of entry b from a release. environ is the
// build's environment, owner the user and groups it runs as, and p.RunKey identifies the process
// (config.ProcessKey).
func prepareProcess(b *config.Build, of config.Process, environ []string, p Place, owner config.Identity, box *build.Box) *Launch {
	own := []string{processKey + "=" + of.Name}
	for _, name := range slices.Sorted(maps.Keys(of.Env)) {
		own = append(own, name+"="+of.Env[name])
	}
	l := prepareTask(b, environ, p, owner, Once{Argv: of.Command, Braces: true, Env: own}, box)
	l.Server, l.StopSignal, l.Notify = Process{Of: &of}, of.Signal(), of.Ready == config.ReadyNotify
	return l
}

// Numbered returns l for the instance with that index, with {index} filled in.
func (l *Launch) Numbered(index int) *Launch {
	one, number := *l, strconv.Itoa(index)
	one.Env = append(slices.Clip(l.Env), indexKey+"="+number)
	one.Argv = slices.Clone(l.Argv)
	for i, arg := range one.Argv {
		one.Argv[i] = strings.ReplaceAll(arg, config.BraceIndex, number)
	}
	return &one
}

// ProcessOf reads from an environment which instance of which process has it; "" is none.
func ProcessOf(environ []string) (name string, index int) {
	for _, entry := range environ {
		if v, is := strings.CutPrefix(entry, processKey+"="); is {
			name = v
		}
		if v, is := strings.CutPrefix(entry, indexKey+"="); is {
			index, _ = strconv.Atoi(v) // what is no number is of no instance of ours
		}
	}
	return name, index
}
