// Package script tells what a shell script would do, without running it: the commands in their order, the
// folder each runs in, the variables it exports. Whatever a script holds, reading it ends.
package script
