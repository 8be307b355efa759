// Package untrusted opens and reads files that others may have made.
//
// Whoever writes a source, a package or a build's folders decides what lies at a path there: a file of
// terabytes without a block on the disk, a named pipe that blocks its reader, a device that acts when
// it is opened, a link to a file of root's. So nothing but a regular file is ever opened, opening and
// reading never wait for somebody, and what is read into memory has a bound.
//
//   - [Open] and [ReadFile] follow links: they are for what a person named (builds.toml may lead to a
//     ConfigMap's ..data, or to /etc/alternatives), and for a source, whose links lead where its
//     writer could have read as well.
//   - [OpenBelow] and [ReadBelow] follow none: they are for folders that a build's user can write to,
//     read by one who may read more than that user.
//   - [ReadStart] is for /proc, whose files have no size: a process decides how long its own
//     environment and command line seem to be.
package untrusted
