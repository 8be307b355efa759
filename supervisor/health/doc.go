// Package health asks a server on a unix socket whether it serves: one HTTP request, one verdict.
//
// A probe is a fresh connection and holds nothing between two calls: no goroutine, no connection,
// no buffer.
package health
