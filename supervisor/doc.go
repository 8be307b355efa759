// Package supervisor keeps the builds of one builds.toml built and served.
//
// [Run] is the whole program behind the command line: it holds one actor for
// each build, feeds it with what happens (exits, probes, timers, edits,
// commands, finished builds) and carries out what the build's state machine
// (package machine) decides. It promises what that machine promises; what it
// adds is that every effect is carried out in order, that a failed effect comes
// back as an event, and that whatever waits on a socket is passed on or
// answered before the socket is closed.
package supervisor
