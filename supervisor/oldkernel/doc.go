// Package oldkernel runs a program, in tests, as if the kernel were older: system calls and flags that came after Linux 5.4, or that
// a container's filter takes away, are refused as such a kernel refuses them.
//
// It is done by a seccomp filter (seccomp(2)), so nothing of the program under test knows: every fallback is reached the way that it is on
// a machine that needs it. A filter cannot follow pointers and knows no files: a file system without cgroups, hard links or
// unnamed files must be given in another way.
package oldkernel
