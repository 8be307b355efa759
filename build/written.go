package build

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// written returns a secret as programs write it: as it is, in JSON, as Python quotes it, in an
// address, and in base64, alone or with a user's name before it.
func written(secret string) []string {
	all := []string{secret}
	add := func(text string) {
		if len(text) >= leastSecret {
			all = append(all, text)
		}
	}
	if text, err := json.Marshal(secret); err == nil {
		raw := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(unquoted(string(text)))
		add(raw)
		add(strings.ReplaceAll(raw, "/", `\/`))
		add(strings.ReplaceAll(unquoted(strconv.QuoteToASCII(secret)), `\x`, `\u00`)) // Python's ensure_ascii
	}
	for _, escaped := range []bool{false, true} {
		add(pythonQuoted(secret, escaped, printed))
		add(pythonQuoted(secret, escaped, ascii))
		add(pythonQuoted(string(latin(secret)), escaped, ascii)) // bytes
	}
	add(url.QueryEscape(secret))
	add(strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"))
	add(strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"), "%2F", "/")) // urllib.parse.quote
	return append(all, inBase64(secret)...)
}

func unquoted(text string) string { return text[1 : len(text)-1] }

// latin returns a letter for each byte.
func latin(text string) []rune {
	var all []rune
	for _, b := range []byte(text) {
		all = append(all, rune(b))
	}
	return all
}

func printed(r rune) string { return string(r) }

// ascii is what Python's ascii() makes of a letter.
func ascii(r rune) string {
	switch {
	case r < 0x80:
		return string(r)
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// pythonQuoted is repr without the quotes, where letter writes what needs no backslash. In a text
// that has both kinds of quotes the single ones are escaped.
func pythonQuoted(secret string, escaped bool, letter func(rune) string) string {
	var out strings.Builder
	for _, r := range secret {
		switch {
		case r == '\\':
			out.WriteString(`\\`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\'' && escaped:
			out.WriteString(`\'`)
		default:
			out.WriteString(letter(r))
		}
	}
	return out.String()
}

// leastBase64 is how long a secret is at least whose base64 is looked for: what remains of a shorter
// one could be anything.
const leastBase64 = 8

// inBase64 returns what stands for a secret in the base64 of a text that has it, whatever is around
// it: there are three ways, by where it begins, and the characters at its edges are of its neighbours
// too.
func inBase64(secret string) []string {
	if len(secret) < leastBase64 {
		return nil
	}
	var all []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := encoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
			from := []int{0, 2, 3}[before] // characters that what is before decides
			to := len(text)
			if (before+len(secret))%3 != 0 {
				to-- // and what is after
			}
			all = append(all, text[from:to])
		}
	}
	return all
}
