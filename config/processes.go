package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Instances is how many processes run beside the servers of all builds.
func (c *Config) Instances() (n int) {
	for _, b := range c.Builds {
		for _, p := range b.Processes {
			n += p.Count
		}
	}
	return n
}

// Process is one entry [[build.process]]: a long-running process beside the web server.
type Process struct {
	Name            string
	Command         []string // with braces
	Count           int
	Restart         Restart
	StopSignal      string        // without SIG
	GracefulTimeout time.Duration // from StopSignal to SIGKILL; 0: the build's
	Env             map[string]string
	Ready           string // ReadyNotify, or "": it is up once it has run for a second
	Overlap         bool
	Required        bool
	Once            bool // on the host of once_on alone
}

// ReadyNotify is the value of Process.Ready of one that says by sd_notify(3) when it is up.
const ReadyNotify = "notify"

// Signal is the number of StopSignal.
func (p Process) Signal() syscall.Signal { return unix.SignalNum("SIG" + p.StopSignal) }

// stopSignals are those that ask a program to end.
var stopSignals = []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH"}

// The limits of a list of processes.
const (
	mostProcesses = 32 // entries of one build
	mostInstances = 64 // of one entry
)

// serverKeys cost the web server a restart, and are nothing to a process beside it.
var serverKeys = map[string]bool{
	"wsgi": true, "workers": true, "threads": true, "worker_class": true, "timeout": true, "graceful_timeout": true,
	"command": true, "gunicorn_args": true, "replicas": true, "socket_group": true, "socket_mode": true,
}

// ProcessKey identifies what a process of b runs in any release: its own keys, and those of the build
// that cost a restart of everything.
func ProcessKey(b Build, p Process) string {
	values := valuesOf(b, CostRestart)
	maps.DeleteFunc(values, func(name string, _ any) bool { return serverKeys[name] })
	values["process"] = struct {
		Name, StopSignal, Ready string
		Command                 []string
		Env                     map[string]string
	}{p.Name, p.StopSignal, p.Ready, p.Command, p.Env}
	text, err := json.Marshal(values) // map keys are sorted
	if err != nil {
		panic(fmt.Sprintf("config: hash of a process: %v", err)) // strings, numbers, bools
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// defaultProcess is a process with no keys set.
func defaultProcess() Process { return Process{Count: 1, Restart: RestartAlways, StopSignal: "TERM"} }

// processKey is the name of the tables of processes in a build.
const processKey = "process"

var processTable = []ownKey[Process]{
	{"name", func(p *Process) any { return &p.Name }, processName, nil},
	{"command", func(p *Process) any { return &p.Command }, someProgram, processCommand},
	{"count", func(p *Process) any { return &p.Count }, whole(1, mostInstances), nil},
	{"restart", func(p *Process) any { return &p.Restart }, nil, nil},
	{"stop_signal", func(p *Process) any { return &p.StopSignal }, stopSignal, nil},
	{"graceful_timeout", func(p *Process) any { return &p.GracefulTimeout }, between(time.Second, time.Hour), nil},
	{"env", func(p *Process) any { return &p.Env }, nil, environment},
	{"ready", func(p *Process) any { return &p.Ready }, ready, nil},
	{"overlap", func(p *Process) any { return &p.Overlap }, nil, nil},
	{"required", func(p *Process) any { return &p.Required }, nil, nil},
	{"once", func(p *Process) any { return &p.Once }, nil, nil},
}

var processNames = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func processName(v any) string {
	if !processNames.MatchString(v.(string)) {
		return "small letters, digits, _ and -, a letter or digit first, at most 32"
	}
	return ""
}

// BraceIndex is filled in in the command of a process: which instance of it this is, from 0 on.
const BraceIndex = "{index}"

func processCommand(v any) []part {
	return commandWith(v.([]string), append(slices.Clip(braces), BraceIndex))
}

func someProgram(v any) string {
	if len(v.([]string)) == 0 {
		return `a program and its arguments, ["celery", "-A", "api_settings", "worker"]`
	}
	return ""
}

func stopSignal(v any) string {
	if slices.Contains(stopSignals, v.(string)) {
		return ""
	}
	quoted := make([]string, len(stopSignals))
	for i, name := range stopSignals {
		quoted[i] = strconv.Quote(name)
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last] + Near(strings.TrimPrefix(v.(string), "SIG"), stopSignals)
}

func ready(v any) string {
	if v.(string) == ReadyNotify {
		return ""
	}
	return strconv.Quote(ReadyNotify) + "; without the key it is up once it has run for a second"
}

// processes reads the tables of processes of a build, or those of [defaults]: a build that has its own
// has none of these.
func (l *loader) processes(b *Build, v any, path string, from origins) {
	from[processKey] = origin{path: path}
	all, ok := ownTables(l, v, path, processKey, "processes", mostProcesses, "raise count, or let one command do several things",
		func(t tomlTable, at string) (Process, string, bool) {
			p := defaultProcess()
			bad := readOwn(l, &p, processTable, t, at, processKey, "name", "command")
			return p, p.Name, len(bad) == 0
		})
	if ok {
		b.Processes = all // otherwise those of [defaults] stay as they are
	}
}

// ownTables reads the tables of a build at a key, many of them by their plural, with read, and returns
// those that are good. Two have different names. ok is false where there is no list of them, or too long
// a one, which instead says how to shorten.
func ownTables[T any](l *loader, v any, path, key, plural string, most int, instead string, read func(t tomlTable, at string) (one T, name string, good bool)) (all []T, ok bool) {
	tables, ok := l.tablesOf(v, path, key)
	if !ok {
		return nil, false
	}
	if len(tables) > most {
		at := join(path, strconv.Itoa(most))
		l.wrong(l.at.key(at), at, "this is more than %d %s of a build: %s", most, plural, instead)
		return nil, false
	}
	line := map[string]int{}
	for i, t := range tables {
		if t == nil {
			continue // already reported
		}
		at := join(path, strconv.Itoa(i))
		one, name, good := read(t, at)
		if before, taken := line[name]; taken {
			l.wrong(l.at.value(join(at, "name")), join(at, "name"), "name = %q: the %s in line %d has it already", name, key, before)
			continue
		}
		if name != "" {
			line[name] = l.at.value(join(at, "name")).line
		}
		if good {
			all = append(all, one)
		}
	}
	return all, true
}

// Grace is how long an instance may take to end, of a build whose own time is build.
func (p Process) Grace(build time.Duration) time.Duration { return cmp.Or(p.GracefulTimeout, build) }
