package redact

import (
	"strings"
	"unicode"
)

// Plain keeps what a comment shows of somebody's text in one line that shows as it is.
func Plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case r != ' ' && !unicode.IsPrint(r):
			return -1 // such as what turns the direction of writing
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// Shown is somebody's text as a comment quotes it: short, and without what may be a secret.
func Shown(text string) string {
	text = hidden(Plain(text))
	if r := []rune(text); len(r) > 80 {
		text = string(r[:79]) + "…"
	}
	return text
}
