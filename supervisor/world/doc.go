// Package world is all of the machine that a supervisor acts on.
//
// A [World] is a set of ports: the processes, sockets, releases and files of all builds, what an
// earlier supervisor left, and the program itself. [Here] is the machine we run on; the simulation
// has a made-up one. Nothing here decides anything: each port does what it is told and reports what
// came of it.
package world
