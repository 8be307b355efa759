// Package public keeps the public name of one build: the path of the socket that clients connect
// to, and the listening sockets that have, had or may get that name.
//
// It promises that every client that has connected is served, passed on to the socket that has the
// name now, or told to come back (503 with Retry-After); no client is reset because a socket was
// closed with clients in its queue. A [Name] and its sockets belong to one goroutine, the build's
// actor; what takes time runs as a task of that actor.
package public
