package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/logsink"
)

// supervise is the program without a command: it runs the supervisor until it is told to stop.
func supervise(ctx context.Context, file, prebuilt string, printLogs bool, version string) error {
	// What we make has the mode that we mean, whatever the umask of who starts us. Processes that we
	// start are each given theirs.
	syscall.Umask(0o022)
	cfg, wrong, err := load(file)
	if err != nil {
		return err
	}
	if prebuilt != "" {
		if prebuilt, err = filepath.Abs(prebuilt); err != nil {
			return fmt.Errorf("find the prebuilt releases: %w", err)
		}
	}
	// Not os.Executable: that resolves links, which an upgrade may move.
	self, err := exec.LookPath(os.Args[0])
	if err == nil {
		self, err = filepath.Abs(self)
	}
	if err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	format := &hclog.LoggerOptions{
		Name:       "medctrl-supervisor",
		Level:      hclog.LevelFromString(cfg.Supervisor.LogLevel),
		JSONFormat: cfg.Supervisor.LogFormat == "json",
		TimeFormat: "2006-01-02T15:04:05.000Z0700",
	}
	// A log whose reader is gone must not end us, as it does by default (os/signal). The signal is
	// caught and not ignored, which children would inherit, and until the very end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	journal := logsink.IsJournal(os.Environ(), os.Stderr.Fd())
	format.DisableTime = journal && !format.JSONFormat // the journal has the time of each line
	sink := logsink.New(os.Stderr, func(lines int) []byte { return lostLines(*format, journal, lines) })
	defer sink.Close(logPatience)
	format.Output = leveled(sink, journal)
	log := hclog.New(format)
	warnExposed(log, cfg, self)
	host, err := config.HostName(os.Environ())
	if err != nil { // better not at all than on two hosts
		log.Error("what once_on leaves to one host is not done here", "error", err)
	}
	var output io.Writer
	if printLogs {
		output = os.Stdout
	}
	return supervisor.Run(ctx, supervisor.Options{
		Config: cfg, Wrong: wrong, Log: log, LogSink: sink, Version: version, Host: host, Args: append([]string{self}, os.Args[1:]...), Environ: os.Environ(),
		Prebuilt: prebuilt, Output: output,
	})
}

// warnExposed says who else could change what we go by. That of a program that is running already is
// not refused: no host is left without a supervisor by it.
func warnExposed(log hclog.Logger, cfg *config.Config, self string) {
	wrong, warnings := cfg.Exposed() // the former where it was applied before, or it would have been refused
	for _, w := range append(wrong, warnings...) {
		log.Warn("somebody else could change what this supervisor goes by", "reason", w.Error())
	}
	warning, program := cfg.ExposedProgram(self)
	if program != nil {
		warning = program.Error()
	}
	if warning != "" {
		log.Warn("somebody else could change what this supervisor goes by", "reason", warning)
	}
}

// load reads the file, or where that is bad or gone, the copy of it that was applied last: no host is
// left without a supervisor because of an edit. wrong is why it had to be the copy.
func load(file string) (cfg *config.Config, wrong, err error) {
	if cfg, wrong = config.Load(file); wrong == nil {
		return cfg, nil, nil
	}
	text, from, err := lastGood(file)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w\nand its last good copy, %s, is not used: %w", wrong, from, err)
	case text == nil:
		return nil, nil, wrong // it was never good
	}
	if cfg, err = config.LoadText(file, text); err != nil {
		return nil, nil, fmt.Errorf("%w\nand its last good copy, %s, does not hold any more:\n%w", wrong, from, err)
	}
	return cfg, wrong, nil
}

// others says who else could have written a file of root's.
func others(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return (&config.Config{}).Custody().Grave(path)
}

// lastGood returns the copy of the file that was applied last: in the root that the file says, or
// else, since that may be what is wrong, in the one with which it was applied. It is nil where there is
// none. A copy of root's that somebody else could have written is not used; the error says who.
func lastGood(file string) (text []byte, path string, err error) {
	var roots []string
	var wrong error
	bad := ""
	if root, err := config.RootOf(file); err == nil {
		roots = append(roots, root)
	}
	if root, ok := config.Remembered(file); ok {
		roots = append(roots, root)
	}
	for _, root := range roots {
		path = layout.Root(root).LastGood()
		if text, err := untrusted.ReadFile(path, config.MaxCopy); err == nil {
			if unsafe := others(path); unsafe != nil {
				wrong, bad = unsafe, path
				continue
			}
			return text, path, nil
		}
	}
	return nil, bad, wrong
}

// logPatience is how long the end of the program waits for whoever reads its log.
const logPatience = time.Second

// leveled returns what a logger writes to: the journal is told the level of each line. So it is with
// lines of JSON, where the journal takes the level off again before anybody reads them.
func leveled(to io.Writer, journal bool) io.Writer {
	if journal {
		return logsink.Prioritized{To: to}
	}
	return to
}

// lostLines is the line of the log that says how many lines were dropped.
func lostLines(format hclog.LoggerOptions, journal bool, lines int) []byte {
	var line bytes.Buffer
	format.Output, format.Level = leveled(&line, journal), hclog.Warn
	hclog.New(&format).Warn("lines of this log were dropped while it could not be written", "count", lines)
	return line.Bytes()
}
