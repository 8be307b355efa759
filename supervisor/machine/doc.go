// Package machine decides what happens to one build.
//
// It is a pure function: [Step] takes a [State], an [Event] and the time, and returns the next
// State and the [Effect]s that the caller has to carry out, in order. It does no I/O, reads no
// clock, uses no randomness and knows no process, socket or file, so that millions of histories can
// be tried in a second and the whole life of a build can be read in one sitting.
//
// What it promises, whatever the order of events:
//
//   - at most one generation holds the public name, and at most one other is being checked;
//   - the public name only ever goes to a generation that passed its check;
//   - a release that fails its check is tried again, and rejected only for what it did itself, three
//     times;
//   - a generation that dies is replaced at once, then with backoff, and never given up;
//   - a release that keeps dying, or hangs, soon after it took over gives way to what was stable
//     before;
//   - while nothing can serve, clients are refused instead of left hanging;
//   - nothing is spawned after a stop, and the build is gone only when every process it started has
//     ended.
package machine
