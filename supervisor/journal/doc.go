// Package journal keeps the log files that children write to: it bounds their size and reads their
// last lines.
//
// Children hold their file open with O_APPEND and know nothing of rotation, so a file cannot be
// moved away from them. Instead its finished file system blocks are copied to NAME.log.1 and cut
// off its front with FALLOC_FL_COLLAPSE_RANGE (fallocate(2)), which excludes writers while it
// works: nothing is lost and nothing doubled, at any rate of writing.
//
//   - Read one after the other, NAME.log.N ... NAME.log.1 NAME.log are what was written. A cut is
//     at a block's end, so a line may begin in one file and end in the next; [Tail] and [TailFrom]
//     read across.
//   - ext4 and xfs can do that, also under overlayfs. Elsewhere (tmpfs, btrfs, nfs) the file is
//     copied whole and truncated: what is written between the last read and the truncation is lost
//     (measured: up to 2 ms of it with two writers at full speed). [Watch] says so once for a file.
//   - The copy is on disk before the cut. A crash at any point leaves it clear which of the two was
//     done, and the next rotation finishes or undoes it. (Only where a file's next megabytes are
//     byte for byte those cut off is it not clear: then one of the equal halves is dropped.)
//   - A process can make its log larger without writing (ftruncate(2)). That costs no memory, reading
//     skips it, and what comes due for a rotation by it is repaired instead: what was written stays.
//   - Files are made with mode 0640 at most, never more than the log's own, and the log's owner.
//     Symbolic links are not followed, nor is a file touched that has a second name.
package journal
