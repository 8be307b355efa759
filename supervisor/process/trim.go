package process

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Trim gives back memory that only the start of this program needed: free heap, and the pages of our own
// program's file, of which idling touches a tenth. They are mapped again from the
// page cache as they are used (madvise(2), MADV_DONTNEED).
func Trim() error {
	debug.FreeOSMemory()
	loaded, err := isLoaded("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("trim memory: %w", err)
	}
	path, err := os.Readlink("/proc/self/exe")
	if err != nil || loaded {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("trim memory: %w", err)
	}
	defer maps.Close()
	for in := bufio.NewScanner(maps); in.Scan(); {
		// from-to perms offset device inode path (proc_pid_maps(5))
		var from, to uintptr
		var perms string
		if _, err := fmt.Sscanf(in.Text(), "%x-%x %s", &from, &to, &perms); err != nil || !strings.HasSuffix(in.Text(), " "+path) {
			continue
		}
		if perms != "r-xp" && perms != "r--p" {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("trim memory: %w", os.NewSyscallError("madvise", errno))
		}
	}
	return nil
}

// isLoaded says whether a loader has written to what is read-only of a program now, which cannot be
// had again from its file: that of a program at any address, or of one with libraries (elf(5)).
func isLoaded(program string) (bool, error) {
	f, err := elf.Open(program)
	if err != nil {
		return false, err
	}
	defer f.Close() // it was only read
	hasLoader := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	return f.Type != elf.ET_EXEC || hasLoader, nil
}
