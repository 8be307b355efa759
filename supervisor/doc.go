// Package supervisor keeps the builds of one builds.toml built and served.
//
// [Run] is the whole program behind the command line. It holds one actor for each build (package
// actor) and tells it what concerns it: what an earlier supervisor left, what the file says, which
// inputs changed, what people ask for. One goroutine does that, in the order in which it happens.
// What others may see of it is a [fleet], published whole and never changed.
//
// The package is the wiring of the program: it alone knows both the actors and the machine they
// act on, and connects them (World).
package supervisor
