package traceback

import "strings"

// lastLines is how many of the last lines may say what made a program fail.
const lastLines = 20

// Outside says that what a program printed last, lines, names a cause that may lie outside it and
// pass by itself: a server that it could not reach, a host that is busy or full. It is a guess, made
// from the words of the system, of the drivers of databases and of gunicorn, so nothing may follow
// from it but another try.
func Outside(lines []string) bool {
	for _, line := range ends(Shorten(lines)) {
		text := strings.ToLower(line)
		if mentions(text, passing) && !mentions(text, refusals) {
			return true
		}
	}
	return false
}

// ends returns those of the last lines that may name a cause: of a traceback only its exception, for
// the rest quotes the program.
func ends(lines []string) []string {
	var all []string
	inside := false
	for _, line := range lines {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, begins):
			inside = true
			continue
		case inside && (text == "" || line[0] == ' ' || line[0] == '\t'):
			continue
		}
		inside = false
		all = append(all, text)
	}
	return all[max(len(all)-lastLines, 0):]
}

func mentions(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// passing are words about what may pass by itself, in lower case.
var passing = []string{
	// the C library and the kernel (strerror(3), gai_strerror(3)), and Python's and Node's names
	"connection refused", "econnrefused", "connectionrefusederror",
	"connection reset", "econnreset", "connectionreseterror", "broken pipe",
	"connection timed out", "etimedout", "timeouterror", "timed out",
	"no route to host", "network is unreachable", "host is down",
	"name or service not known", "temporary failure in name resolution", "nodename nor servname", "getaddrinfo",
	"no space left on device", "disk quota exceeded", "too many open files in system",
	"cannot allocate memory", "resource temporarily unavailable", "memoryerror", "can't start new thread",
	// servers that are asked over HTTP: requests, urllib and their like
	"service unavailable", "bad gateway", "gateway timeout", "gateway time-out", "too many requests",
	"max retries exceeded", "remote end closed connection", "remotedisconnected", "connection aborted",
	// MySQL and MariaDB (errmsg.h, mysqld_error.h)
	"can't connect to", "lost connection to", "server has gone away", "too many connections", "server shutdown in progress",
	"lock wait timeout exceeded", "deadlock found", "--read-only option", // a server that is about to hand over
	// PostgreSQL (libpq, errcodes.txt)
	"could not connect to", "server closed the connection", "could not translate host name",
	"the database system is", "terminating connection", "too many clients", "remaining connection slots", "timeout expired",
	"connection already closed", "connection is closed", "ssl syscall error", "in a read-only transaction", "deadlock detected",
	// SQLite, Oracle, and the like of brokers and caches
	"database is locked", "ora-12541", "ora-12514", "ora-12170", "ora-03113", "ora-03114", "ora-01033", "ora-01034",
	"is loading the dataset in memory", "clusterdown", "masterdown",
	"error connecting to", "connectionerror", "serverselectiontimeouterror", "nobrokersavailable",
	// gunicorn, of a worker that could not load the application in time
	"worker timeout",
}

// refusals are words of somebody who was reached and said no.
var refusals = []string{
	"access denied", "authentication failed", "password authentication", "no pg_hba.conf entry", "unknown database",
	"permission denied", "invalid username-password", "noauth", "wrongpass",
}
