//go:build !race

package machine

const (
	raced     = false
	histories = 100_000
)
