// Package unitfile reads units as systemd does: their options, the words of a command, variables and
// specifiers. It opens no file.
package unitfile
