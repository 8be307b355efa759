package sandbox

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkRuleset measures what the parent does for each start in a box.
func BenchmarkRuleset(b *testing.B) {
	for _, root := range []bool{false, true} {
		b.Run(map[bool]string{false: "user", true: "root"}[root], func(b *testing.B) {
			p := Policy{Read: []string{"/tmp"}, Write: []string{b.TempDir()}, AsRoot: root}
			begun := cpu(b)
			for b.Loop() {
				f, err := p.Ruleset()
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
			b.ReportMetric(float64(cpu(b)-begun)/float64(b.N)/1e3, "cpu-us/op")
		})
	}
}

// cpu is the time that this process has used of processors.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
