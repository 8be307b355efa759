// Package server knows the servers that builds run: what they are told and what they say.
//
// From a build's entry and a release it makes what has to be started (arguments, environment,
// generated files); it understands a server's message that its workers are ready, and puts its exit
// into words. [Gunicorn] is the usual server; [Command] is any other that takes LISTEN_FDS, set by
// the key `command`. The package starts nothing: a [Launch] is a value.
package server
