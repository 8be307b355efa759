// Package handover carries what a supervisor tells the program that is executed in its place.
//
// Over the exec of an upgrade go descriptors, which are open in both programs, and facts that would
// take long to find again. Everything else the successor finds as after a crash, and so it does
// with a descriptor that is not handed over: nothing here is needed, all of it saves time or keeps
// clients from waiting. The zero Handover is what a program has that was not executed by a
// supervisor.
//
// Giving: fill in a Handover, Keep it while no process can be started, and execute the successor
// with the entry that Keep returns in its environment; undo where that fails.
//
//	h := handover.Handover{From: version, Lock: fd, Watches: handover.Watches(), …}
//	entry, undo, err := h.Keep(newest)
//
// Taking: Take it from the environment, then the lock, the front, the sockets of each build and the
// control socket, each once; Drop what no build took; CloseWatches when there are watches of one's
// own.
//
// It lies as JSON in a memfd whose descriptor the entry in the environment names. Supervisors of
// different versions read each other's, so a field never changes its name or its meaning; a new one
// that a successor must know of gets a new version (Newest).
package handover
