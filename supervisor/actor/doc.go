// Package actor runs one build: it feeds the build's state machine (package machine) with what
// happens, one event at a time, and carries out the effects in their order.
//
// It keeps the promises of the machine, and adds its own: every effect is carried out in order, a
// failed effect comes back as an event, every command ends with a truthful result, and clients that
// wait on a socket are passed on or answered before the socket is closed.
//
// An actor reaches the world only through its [Ports], so that the same code runs on this machine
// and on the simulated one. All it owns belongs to one goroutine; others see an immutable [View].
package actor
