// Package sandbox makes what confines a process: Landlock rulesets (landlock(7)) and seccomp filters
// (seccomp(2)).
//
// It applies neither. A ruleset and a filter hold for the thread that applies them and for all that
// it starts, and cannot be removed: so a child applies them to itself, before it executes its
// program (supervisor/process), and the supervisor stays as it is.
package sandbox
