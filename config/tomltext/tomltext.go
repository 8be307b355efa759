// Package tomltext writes values as a TOML file has them (toml.io, v1.0.0), each in one line.
package tomltext

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Text writes a text as a basic string.
func Text(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r != ' ' && !unicode.IsPrint(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04X`, r)
		case r != ' ' && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Texts writes texts as an array.
func Texts(all []string) string { return array(all, Text) }

// Lists writes lists of texts as an array of arrays.
func Lists(all [][]string) string { return array(all, Texts) }

func array[T any](all []T, write func(T) string) string {
	written := make([]string, len(all))
	for i, one := range all {
		written[i] = write(one)
	}
	return "[" + strings.Join(written, ", ") + "]"
}

// Table writes texts as an inline table, in the order of their names.
func Table(all map[string]string) string {
	if len(all) == 0 {
		return "{}"
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, Key(name)+" = "+Text(all[name]))
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}

// Key writes a name as a key.
func Key(name string) string {
	bare := func(r rune) bool {
		return r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !bare(r) }) {
		return name
	}
	return Text(name)
}
