package doctor

import (
	"fmt"

	"github.com/medctrl/medctrl-supervisor/build"
)

// tight is so little room that hardly a build fits.
var tight = build.Size{Bytes: 50 << 20, Inodes: 1000}

// roomFindings says whether another release of each build fits into root.
func roomFindings(root string, patients []*patient) []Finding {
	var needs build.Size
	for _, p := range patients {
		needs.Bytes, needs.Inodes = max(needs.Bytes, p.needs.Bytes), max(needs.Inodes, p.needs.Inodes)
	}
	room, err := build.Room(root)
	if err != nil {
		return []Finding{warn("disk", "", "not tried: %v", err)}
	}
	return []Finding{roomFinding(root, room, needs)}
}

func roomFinding(root string, room, needs build.Size) Finding {
	const check = "disk"
	fix := "free some (df -h " + root + "; df -i " + root + "), or lower keep_releases"
	switch {
	case room.Bytes < max(needs.Bytes, tight.Bytes):
		return fail(check, fix, "%s has %s left, and a release with its environment takes about %s", root, size(room.Bytes), size(needs.Bytes))
	case room.Inodes < max(needs.Inodes, tight.Inodes):
		return fail(check, fix, "%s has room for %d more files, and a release with its environment has about %d", root, room.Inodes, needs.Inodes)
	case room.Bytes < 3*needs.Bytes || room.Inodes < 3*needs.Inodes:
		return warn(check, fix, "%s has %s and %d files left, which is room for fewer than three more releases", root, size(room.Bytes), room.Inodes)
	}
	return ok(check, "%s has %s left, and a release with its environment takes about %s", root, size(room.Bytes), size(needs.Bytes))
}

func size(bytes uint64) string {
	if bytes < 10<<30 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d GiB", bytes>>30)
}
