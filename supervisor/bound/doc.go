// Package bound keeps a server from having more connections open than it may.
//
// A [Set] is the open connections of one server. The listener that it wraps accepts every client;
// where there is no room it closes the connection that has waited longest for its client to send
// something, and where all are at work it tells the newcomer so. So a client that holds connections
// open without using them costs others nothing, and descriptors are left for who needs them.
package bound
