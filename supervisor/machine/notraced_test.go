//go:build !race

package machine

const (
	raced     = false
	histories = 30_000
)
