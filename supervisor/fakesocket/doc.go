// Package fakesocket is a folder of listening sockets in memory, for tests: each has a queue of
// clients, and what became of a client can be asked.
//
// It promises what a kernel does: a client connects only where a path leads to a socket, waits in
// the queue until somebody accepts it, and is reset when the socket is closed first. Waiting is by
// channels alone, so a testing/synctest bubble sees when nothing goes on.
package fakesocket
