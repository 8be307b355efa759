//go:build !race

package simulate

// usual is how many histories are lived where nobody says how many.
const usual = 300
