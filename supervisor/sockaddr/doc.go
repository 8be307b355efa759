// Package sockaddr reaches a unix socket by a path of any length.
//
// The address of a unix socket has room for 107 bytes of a path and the final NUL (unix(7)). The
// root of a configuration is checked so that every public name fits, for clients that know no way
// around the limit; the names that only the supervisor uses, and the folders of tests, may be
// longer.
package sockaddr
