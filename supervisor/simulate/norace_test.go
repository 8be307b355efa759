//go:build !race

package simulate

// usual is how many histories are lived where nobody says how many.
const usual = 100

// plantedToo says that planted faults are looked for.
const plantedToo = true

// replays says that a seed gives the same story again, as far as Go's scheduler lets it.
const replays = true
