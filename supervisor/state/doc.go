// Package state keeps on disk what must outlive the supervisor.
//
// There is one file per build. A reader finds the record before or the record after a Save, whole,
// whenever the writer was killed or the power was cut: a record is written aside, synced, renamed
// over the old one, and the folder is synced. Files are 0600 in a folder that is 0700. The format
// has a version; a file of a later one is refused and left as it is.
package state
