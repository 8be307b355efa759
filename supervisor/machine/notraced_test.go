//go:build !race

package machine

const (
	raced     = false
	histories = 50_000
)
