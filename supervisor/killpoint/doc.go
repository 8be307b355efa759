// Package killpoint marks the moments at which tests kill the supervisor.
//
// A moment is a call of Reach. In a program that is built with the tag killpoints, which only tests
// do, each is written down, and the program ends at the one that the environment names; in any
// other Reach does nothing and costs nothing.
package killpoint
