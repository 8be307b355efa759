package importer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
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
