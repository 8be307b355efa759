package machine

import "time"

// backoffMin is the first delay that is not zero.
const backoffMin = time.Second

// backoff returns how long to wait before start number n in a row: the first is immediate, later
// ones wait exponentially longer, with jitter, at most Policy.DelayMax.
func (t *turn) backoff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return t.jitter(exponential(n-1, backoffMin, t.Policy.DelayMax))
}

// jitter takes up to a quarter off, so that builds that died together (because of one database, say)
// do not come back together. The generation counter is random enough, and can be replayed.
func (t *turn) jitter(d time.Duration) time.Duration {
	return d - d/4*time.Duration(mix(uint64(t.Spawned))%1024)/1024
}

// exponential returns from doubled n-1 times, at most limit.
func exponential(n int, from, limit time.Duration) time.Duration {
	d := from
	for range n - 1 {
		if d >= limit {
			break
		}
		d *= 2
	}
	return min(d, limit)
}

// mix scrambles x (splitmix64, Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
