// Package sdnotify speaks to the service manager that started this program (sd_notify(3)).
//
// A [Notifier] tells it how the program is; it is meant for one goroutine. A [Store] has it keep
// descriptors open over a restart. Neither lets the program wait long: a service manager that does
// not read what it is told is warned about in the log, and the program goes on. Without a service
// manager that wants to know, nothing is done.
package sdnotify
