// Package oldkernel runs a program, in tests, as if the kernel were older: system calls and flags
// that came after Linux 5.4, or that a container's filter takes away, are refused as such a kernel
// refuses them.
//
// A seccomp filter (seccomp(2)) does this, so the program under test does not notice: every
// fallback is reached as it is on a machine that needs it. A filter cannot follow pointers and
// knows no files: a file system without cgroups, hard links or unnamed files must be provided in
// another way.
package oldkernel
