//go:build !race

package machine

const (
	raced     = false
	histories = 40_000
)
