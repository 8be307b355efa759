// Package sdnotify tells the service manager that started this program how it is (sd_notify(3)).
//
// It is meant for one goroutine, and never lets it wait long: a service manager that does not read
// what it is told is warned about in the log, and the program goes on. Without a service manager
// that wants to know, nothing is done.
package sdnotify
