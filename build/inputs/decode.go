package inputs

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// byteOrderMarks are what a text in Unicode may begin with. That of UTF-32 with the little end
// first begins like that of UTF-16, and pip takes it for that.
var byteOrderMarks = []struct {
	mark   string
	decode func([]byte) string
}{
	{"\x00\x00\xfe\xff", func(b []byte) string { return decode32(b) }},
	{"\xef\xbb\xbf", func(b []byte) string { return string(b) }},
	{"\xff\xfe", func(b []byte) string { return decode16(b, binary.LittleEndian) }},
	{"\xfe\xff", func(b []byte) string { return decode16(b, binary.BigEndian) }},
}

var codingComment = regexp.MustCompile(`^#.*?coding[:=]\s*([-\w.]+)`) // PEP 263

// decode returns the text of a requirements file as pip reads it: by its byte order mark, else by
// the comment of PEP 263 in one of its first two lines, else as UTF-8
// (pip, _internal/req/req_file.py). Other encodings than those of Unicode and Latin 1 are left as
// they are: what counts here, options and the names of files, is ASCII in them, as a rule.
func decode(data []byte) string {
	for _, m := range byteOrderMarks {
		if rest, ok := bytes.CutPrefix(data, []byte(m.mark)); ok {
			return m.decode(rest)
		}
	}
	for i, line := range bytes.SplitN(data, []byte("\n"), 3) {
		found := codingComment.FindSubmatch(line)
		if i == 2 || found == nil {
			continue
		}
		switch strings.ReplaceAll(strings.ToLower(string(found[1])), "_", "-") {
		case "latin-1", "latin1", "iso-8859-1", "iso8859-1", "l1", "8859", "cp819", "iso-8859-15", "latin-9", "cp1252", "windows-1252":
			return decodeLatin(data)
		}
		break
	}
	return string(data)
}

func decode16(data []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

func decode32(data []byte) string {
	var text strings.Builder
	for ; len(data) >= 4; data = data[4:] {
		r := rune(binary.BigEndian.Uint32(data))
		if !utf8.ValidRune(r) {
			r = utf8.RuneError
		}
		text.WriteRune(r)
	}
	return text.String()
}

// decodeLatin decodes what has the same letters at the same places as Latin 1.
func decodeLatin(data []byte) string {
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes)
}
