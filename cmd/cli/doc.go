// Package cli is the command line: it turns arguments into requests to the running supervisor.
//
// It decides nothing about builds. What a terminal shows is laid out by package show. Without a
// command it starts the supervisor itself.
package cli
