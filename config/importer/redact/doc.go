// Package redact shows what others wrote in a line of a comment or a message: short, without what does
// not print, and without what may be a secret.
package redact
