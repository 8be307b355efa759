package importer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// textOf returns what a file says, in UTF-8 with lines that end in \n: editors of other systems write
// byte order marks, UTF-16 and \r\n.
func textOf(raw []byte) (string, error) {
	for mark, order := range map[string]binary.ByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian} {
		if rest, ok := bytes.CutPrefix(raw, []byte(mark)); ok {
			if len(rest)%2 != 0 {
				return "", errors.New("it begins like UTF-16 and is not: save it as UTF-8")
			}
			units := make([]uint16, len(rest)/2)
			for i := range units {
				units[i] = order.Uint16(rest[2*i:])
			}
			raw = []byte(string(utf16.Decode(units)))
			break
		}
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	switch {
	case bytes.IndexByte(raw, 0) >= 0:
		return "", errors.New("this is no text: it has NUL bytes")
	case !utf8.Valid(raw):
		return "", errors.New("this is not UTF-8 text: save it as UTF-8")
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\r", "\n"), nil
}

// plain keeps what a comment shows of somebody's text in one line that shows as it is.
func plain(text string) string {
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

// shown is somebody's text as a comment quotes it: short, and without what may be a secret.
func shown(text string) string {
	text = hidden(plain(text))
	if r := []rune(text); len(r) > 80 {
		text = string(r[:79]) + "…"
	}
	return text
}
