package process

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Trim gives back memory that only the start of this program needed: free heap, and the pages of our own
// program's file, of which idling touches a tenth. They are mapped again from the
// page cache as they are used (madvise(2), MADV_DONTNEED).
func Trim() error {
	debug.FreeOSMemory()
	const fixed = 2 // ET_EXEC: in any other the loader has written to what is read-only now (elf(5))
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("trim memory: %w", err)
	}
	defer exe.Close()
	var head [18]byte
	if _, err := exe.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("trim memory: %w", err)
	}
	path, err := os.Readlink("/proc/self/exe")
	if err != nil || binary.NativeEndian.Uint16(head[16:]) != fixed {
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
