package process

import "fmt"

// Identity names the child among all processes, of earlier boots too, in a form that can be written
// down: no other process has it, also when the pid is given out again.
func (c *Child) Identity() (string, error) {
	boot, err := BootID()
	return identity(c.pid, c.start, boot), err
}

// Alive reports whether the process is running that had that Identity. A zombie is dead.
func Alive(id string) bool {
	var pid int
	if n, err := fmt.Sscanf(id, "%d ", &pid); n != 1 || err != nil || pid <= 0 {
		return false
	}
	s, err := readStat(pid)
	boot, berr := BootID()
	return err == nil && berr == nil && !s.dead() && identity(pid, s.start, boot) == id
}

func identity(pid int, start uint64, boot string) string {
	return fmt.Sprintf("%d %d %s", pid, start, boot)
}
