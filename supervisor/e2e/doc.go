// Package e2e tests the real binary with real gunicorn, Django and Nginx under a load that counts
// every request.
//
// It has no code except its tests. A test makes a [World] (a short temporary folder with a copy of
// the tiny project in testdata, a builds.toml and a free address for the front), starts the
// supervisor in it, starts a [Load], does something to the processes or the files, and asserts what
// the load saw. When it ends, everything it started must be gone.
package e2e
