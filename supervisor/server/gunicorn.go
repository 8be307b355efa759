package server

import (
	_ "embed" // the constant part of the configuration
	"fmt"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Gunicorn is the usual server.
type Gunicorn struct{ Entry *config.Build }

// Argv starts gunicorn with a generated configuration file. It is run with python -m, because a
// script's #! line has a length limit. The user's own arguments come after the file and win over
// it.
func (g Gunicorn) Argv(p Place) ([]string, []File) {
	conf := File{Path: p.Paths.Conf(p.RunKey), Head: confHead, Text: conf(g.Entry), Mode: 0o640, GID: p.GID}
	argv := append([]string{p.Release.Python(), "-m", "gunicorn", "-c", conf.Path}, g.Entry.GunicornArgs...)
	return append(argv, g.Entry.WSGI), []File{conf}
}

// SaysReady returns true: post_worker_init in the generated configuration sends the message.
func (Gunicorn) SaysReady() bool { return true }

// FinishesAtTerm returns true (gunicorn, arbiter.py: stop).
func (Gunicorn) FinishesAtTerm() bool { return true }

// TakesTwo returns true (gunicorn, systemd.py: listen_fds). Its workers take clients of all listeners.
func (Gunicorn) TakesTwo() bool { return true }

// KeepsQueue returns true: its configuration says how long it is, or the build's arguments.
func (Gunicorn) KeepsQueue() bool { return true }

// Exit explains gunicorn's own exit codes (gunicorn, arbiter.py: WORKER_BOOT_ERROR,
// APP_LOAD_ERROR).
func (Gunicorn) Exit(words string, code int) string {
	switch code {
	case 3:
		words += " (a gunicorn worker could not boot)"
	case 4:
		words += " (gunicorn could not load the application)"
	}
	return words
}

// LastWords leaves out what gunicorn says about its own shutdown.
func (Gunicorn) LastWords(output []string) []string { return lastWords(output) }

// noListener is where gunicorn would bind if it did not get the listener it was handed: a place
// where binding is impossible, so that it fails loudly instead of falling back to TCP port 8000
// (gunicorn, systemd.listen_fds).
const noListener = "unix:/dev/null/the-supervisor-passed-no-listener"

//go:embed conf.py
var confConstant string

// confHead begins every configuration file. A thousand builds keep it once.
var confHead = "# Written by medctrl-supervisor; an edit has no effect and is lost.\n" + confConstant + "\n\n"

// conf is what follows in the one that one gunicorn reads. gunicorn ignores unknown names in a file,
// while an unknown flag would be fatal, so one text works for every gunicorn from 20.1 on.
func conf(b *config.Build) string {
	var s strings.Builder
	set := func(name, value string) { fmt.Fprintf(&s, "%s = %s\n", name, value) }
	set("bind", strconv.Quote(noListener))
	set("backlog", "4096")
	set("workers", strconv.Itoa(b.Workers))
	set("threads", strconv.Itoa(b.Threads))
	set("worker_class", strconv.Quote(b.WorkerClass))
	set("timeout", wholeSeconds(b.Timeout.Seconds()))
	set("graceful_timeout", wholeSeconds(b.GracefulTimeout.Seconds()))
	set("worker_tmp_dir", `"/dev/shm" if os.access("/dev/shm", os.W_OK) else None`)
	set("control_socket_disable", "True") // otherwise gunicorn 25.1 shares one in $HOME
	set("umask", fmt.Sprintf("0o%o", uint32(b.Umask)))
	return s.String()
}

// wholeSeconds rounds up: gunicorn's timeouts are whole seconds, and 0 would switch them off.
func wholeSeconds(s float64) string {
	n := int(s)
	if float64(n) < s {
		n++
	}
	return strconv.Itoa(n)
}
