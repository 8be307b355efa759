package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a tree uses.
type Usage struct {
	Processes int
	Memory    uint64        // bytes in RAM; what processes share counts for each (proc_pid_statm(5), resident)
	CPU       time.Duration // of those that live, and of the dead they waited for
}

// ticksPerSecond is what the kernel counts CPU time in for user space: USER_HZ, 100 on every Linux
// that Go runs on.
const ticksPerSecond = 100

// Usage returns what the trees of children use, in their order. It reads the process table once,
// together with all who ask at the same time; a process that ends meanwhile is left out.
func (t *Table) Usage(ctx context.Context, children []*Child) ([]Usage, error) {
	snap, err := t.scans.fresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("find what trees use: %w", err)
	}
	all := make([]Usage, len(children))
	for i, c := range children {
		for _, p := range c.members(snap, nil) {
			if p.dead() {
				continue
			}
			memory, cpu, err := usageOf(p.pid)
			if err != nil {
				continue // gone
			}
			all[i].Processes++
			all[i].Memory += memory
			all[i].CPU += cpu
		}
	}
	return all, nil
}

func usageOf(pid int) (memory uint64, cpu time.Duration, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	statm, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return 0, 0, err
	}
	line, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, 0, err
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0, 0, fmt.Errorf("read %s/statm: %w", dir, err)
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // from field 3 on
	var ticks int64
	for field := 14; field <= 17 && field-3 < len(fields); field++ { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(fields[field-3], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read %s/stat: %w", dir, err)
		}
		ticks += n
	}
	return resident * uint64(os.Getpagesize()), time.Duration(ticks) * time.Second / ticksPerSecond, nil
}
