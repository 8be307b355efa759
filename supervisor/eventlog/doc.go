// Package eventlog keeps what happened in a file that outlives the run.
//
// The file holds one JSON object a line, oldest first. When it has grown past 1 MiB it is renamed
// to the same name with .1 added, over the one before, and a new one begins: so the last 1 MiB of
// events is always there, and the disk never holds much more than two.
//
// Events explain and decide nothing. So nobody waits for the disk to add one, and a disk that is
// full, read-only or broken costs the events in the file only; the log says so once, and again when
// the file can be written.
package eventlog
