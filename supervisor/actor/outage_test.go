package actor

import (
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// tries counts the candidates of a release that were started.
func (l *life) tries(release string) (n int) {
	l.w.do(func() {
		for _, t := range l.w.trees {
			for _, entry := range t.env {
				if entry == "MEDCTRL_RELEASE="+release {
					n++
				}
			}
		}
	})
	return n
}

// A database that restarts, or a host that is busy for an hour, says nothing about a release that is checked
// meanwhile: it serves once that is over, without anybody's doing.
func TestCandidateThatFailsWhileTheDatabaseRestartsOrTheHostIsBusyIsTriedAgain(t *testing.T) {
	traced := func(exception string) string {
		return "Traceback (most recent call last):\n  File \"a.py\", line 1, in open\n" + exception
	}
	ends := func(code int) conduct { return conduct{dies: &Exit{Words: "exit code 3", Code: code}} }
	for name, c := range map[string]struct {
		conduct conduct
		output  string
	}{
		"MariaDB restarts":          {ends(3), traced(`django.db.utils.OperationalError: (2002, "Can't connect to local MySQL server through socket '/run/mysqld/mysqld.sock' (2)")`)},
		"MariaDB ends meanwhile":    {ends(3), traced(`MySQLdb.OperationalError: (2013, 'Lost connection to MySQL server during query')`)},
		"PostgreSQL starts":         {ends(3), traced(`psycopg2.OperationalError: FATAL:  the database system is starting up`)},
		"a cause in a chain":        {ends(3), traced("ConnectionRefusedError: [Errno 111] Connection refused\n\nThe above exception was the direct cause of the following exception:\n\n" + traced("RuntimeError: no settings"))},
		"gunicorn's worker timeout": {ends(1), "[2026-11-27 09:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)\n[2026-11-27 09:00:00 +0000] [9] [INFO] Worker exiting (pid: 9)\n"},
		"no worker in time":         {conduct: conduct{mute: true}},
		"no answer in time":         {conduct: conduct{hung: true}},
		"503 to the probe":          {conduct: conduct{answer: &ProbeError{Wrong: true, Status: 503, Err: errBroken}}},
		"killed for want of memory": {conduct: conduct{dies: &Exit{Words: "killed by SIGKILL", Code: -1, Signal: true, Number: 9, Outside: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				l.w.do(func() { l.w.conduct["r2"], l.w.output = c.conduct, strings.Split(c.output, "\n") })
				l.change("second")
				l.told(machine.EventCandidateFailed)
				l.pass(time.Hour)
				if n := l.tries("r2"); n < 10 || n > 60 {
					t.Errorf("%d tries in an hour", n)
				}
				l.says("release r2 did not take over: ")
				l.w.do(func() { l.w.conduct["r2"], l.w.output = conduct{}, nil })
				l.pass(6 * time.Minute)
				l.serves("r2")
				l.says("")
			})
		})
	}
}

func TestCandidateIsCondemnedOnlyAfterThreeFailuresOfTheReleaseItself(t *testing.T) {
	for name, c := range map[string]struct {
		conduct conduct
		output  string
	}{
		"an exception":       {conduct{dies: &Exit{Words: "exit code 3", Code: 3}}, "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'X'"},
		"it ends itself":     {conduct{dies: &Exit{Words: "killed by SIGSEGV", Code: -1, Signal: true, Number: 11}}, ""},
		"404 to the probe":   {conduct: conduct{answer: &ProbeError{Wrong: true, Status: 404, Err: errBroken}}},
		"a login is refused": {conduct{dies: &Exit{Words: "exit code 3", Code: 3}}, "django.db.utils.OperationalError: (1045, \"Access denied for user 'm'@'localhost' (using password: YES)\")"},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				l.w.do(func() { l.w.conduct["r2"], l.w.output = c.conduct, strings.Split(c.output, "\n") })
				l.change("second")
				l.told(machine.EventCandidateFailed)
				if l.tries("r2") != 1 || len(l.View().State.Bad) != 0 {
					t.Errorf("condemned at the first failure: %v", l.View().State.Bad)
				}
				l.pass(time.Hour)
				if n := l.tries("r2"); n != 3 {
					t.Errorf("%d tries, want 3", n)
				}
				l.says("(3 of 3 tries)")
				l.serves("r1")
			})
		})
	}
}

// Reasons are in status, events, the log and what hooks are told: more people read them than the output of
// the application.
func TestReasonOfAServersEndHasNoPasswords(t *testing.T) {
	serving(t, func(l *life) {
		l.environ("DB_PASSWORD=hunter2hunter2", "DATABASE_URL=postgres://me:other1secret@db/x")
		l.w.do(func() {
			l.w.output = []string{"ValueError: hunter2hunter2 and other1secret", "at https://u:third1secret@index/"}
		})
		l.entry.Env = map[string]string{"X": "2"}
		l.w.do(func() { l.w.conduct["r1"] = conduct{dies: &Exit{Words: "exit code 3", Code: 3}} })
		l.configure(false)
		l.told(machine.EventCandidateFailed)
		l.says("ValueError: **** and ****")
		l.crash(Exit{Words: "exit code 1", Code: 1})
		l.pass(time.Minute)
		for _, text := range []string{l.View().State.Reason(), l.View().State.LastExit, l.w.told()} {
			for _, secret := range []string{"hunter2", "other1secret", "third1secret"} {
				if strings.Contains(text, secret) {
					l.Errorf("%s is told of: %s", secret, text)
				}
			}
		}
	})
}
