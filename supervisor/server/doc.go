// Package server knows the servers that builds run: what they are told and what they say.
//
// It makes of a build's entry and a release what has to be started (arguments, environment,
// generated files), understands a server's word that its workers are ready, and puts its end into
// words. [Gunicorn] is the usual server; [Command] is any other that takes LISTEN_FDS, by the key
// `command`. The package starts nothing: a [Launch] is a value.
package server
