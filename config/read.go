package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

// readText reads a file that a person named and others may have written.
func readText(path string) ([]byte, error) { return untrusted.ReadFile(path, maxFile) }

// read reads a builds.toml. Mistakes in its text are returned as Errors, together with the text.
func read(path string) ([]byte, error) {
	text, err := readText(path)
	if large := (*untrusted.TooLargeError)(nil); errors.As(err, &large) {
		return nil, tooLarge(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of builds: %w", err)
	}
	return text, readable(path, text)
}

func tooLarge(path string) error {
	return Errors{{File: path, Line: 1, Col: 1, Msg: "larger than 1 MiB, which no list of builds is"}}
}

// readable returns Errors unless a text can be that of a builds.toml.
func readable(path string, text []byte) error {
	if len(text) > maxFile {
		return tooLarge(path)
	}
	wrong := func(at int, msg string) error {
		p := placeOf(text, at)
		return Errors{{File: path, Line: p.line, Col: p.col, Msg: msg}}
	}
	if at := bytes.IndexByte(text, 0); at >= 0 {
		if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
			return wrong(0, "this is UTF-16: save it as UTF-8")
		}
		return wrong(at, "NUL byte: want UTF-8 text (UTF-16 is not)")
	}
	if at := firstInvalid(text); at >= 0 {
		return wrong(at, "not UTF-8 text")
	}
	return nil
}

// firstInvalid returns where text is not UTF-8, or -1.
func firstInvalid(text []byte) int {
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

// withoutBOM removes the byte order mark that some editors put before UTF-8 text.
func withoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// placeOf returns the place of a byte of text.
func placeOf(text []byte, at int) place {
	at = min(max(at, 0), len(text))
	begun := bytes.LastIndexByte(text[:at], '\n') + 1
	return place{1 + bytes.Count(text[:at], []byte("\n")), 1 + utf8.RuneCount(text[begun:at])}
}

// sentence returns the library's message in the form of ours, or a better one where what stands there
// shows what was meant.
func sentence(e toml.ParseError, there []byte) string {
	said := strings.TrimSuffix(oneLine(e.Message), ".")
	begins := func(signs ...string) bool {
		for _, sign := range signs {
			if bytes.HasPrefix(there, []byte(sign)) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("<<<<<<<", "=======", ">>>>>>>"):
		return "a merge conflict was left here: keep one of the two sides, and remove the lines of signs"
	case begins("“", "”", "„", "‘", "’", "«"):
		return `typographic quotes: want the plain ones, "…"`
	case strings.HasPrefix(said, "expected value but found"):
		return said + `: a text stands in quotes, "…"`
	case strings.HasPrefix(said, "expected '.' or '='"):
		return said + `: want NAME = VALUE, as this is TOML`
	case strings.HasPrefix(said, "invalid escape"):
		return said + `: write \\ for a backslash, or put the text in single quotes`
	}
	return said
}
