// Package doctor finds beforehand what would make a build or its serving fail.
//
// Look finds what can be seen without starting anything: it is for `check`. Run tries the rest as the
// user of each build, with the build's environment. Neither changes anything, and a running
// supervisor notices neither.
package doctor
