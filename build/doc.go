// Package build makes releases: it turns the source of a build into a folder that never changes
// again, with the environment it runs in.
//
// What it promises: a release is complete or absent; nothing that serves is touched; the same
// inputs make nothing new; two migrations of one database never run at the same time; an attempt
// that is cancelled, or that fails for whatever reason, leaves only its log behind.
//
// It starts processes only through a Runner, which its user provides.
package build
