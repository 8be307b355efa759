// Package supervisor keeps the builds of one builds.toml built and served.
//
// [Run] is the whole program behind the command line. It has one actor for each build (package
// actor) and passes on to it what concerns that build: what an earlier supervisor left, what the
// file says, which inputs changed, what people ask for. One goroutine does that, in the order in
// which things happen. Others see a [fleet], published as a whole and never changed.
//
// The package is the wiring of the program: it alone knows both the actors and the machine they
// act on, and connects them (World).
package supervisor
