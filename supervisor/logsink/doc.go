// Package logsink keeps the supervisor's own log from ever stopping the supervisor.
//
// What reads that log may stand still (a terminal after Ctrl-S, a full pipe), end (a pipe whose
// reader died, SIGPIPE) or fail (a full disk). A [Sink] takes every line at once into a bounded
// buffer and writes it from a goroutine of its own. What does not fit is dropped, counted, and said
// in the log itself as soon as that can be written again.
package logsink
