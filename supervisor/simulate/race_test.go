//go:build race

package simulate

// usual is how many histories are lived where nobody says how many: with the race detector each
// takes ten times as long.
const usual = 25

// plantedToo says that planted faults are looked for: not with the race detector, which finds none
// there and takes minutes.
const plantedToo = false

// replays says that a seed gives the same story again, as far as Go's scheduler lets it.
const replays = false
