package config

import (
	"strconv"
	"strings"
)

// place is a position in a file; lines and columns begin at 1, columns count characters.
type place struct{ line, col int }

// positions finds the place of each key and value in a TOML text, which the TOML library does not
// tell for the elements of an array of tables. It relies on the text being valid TOML (the library
// has parsed it); for any other text it returns some result, and never panics.
//
// A path is the keys joined by dots, as [join] does, with the number of an element of an array:
// build.0.health.interval.
type positions struct {
	keys, values map[string]place
	statements   []statement
	tooLong      place // of the first path of more than maxPath bytes, where the search ended
}

// statement is a header or a pair of a key and its value, at some bytes of the text.
type statement struct {
	path     string
	from, to int
	header   bool
}

// maxPath is how many bytes the path of a key may have: it bounds how deep tables and lists are
// nested. The TOML library recurses and keeps every path: 100 KiB of brackets use up all memory,
// and with it everything running.
const maxPath = 256

// key returns the place of a key; for one that is not in the text, the place of what it would be
// in.
func (p *positions) key(path string) place {
	for {
		if at, ok := p.keys[path]; ok {
			return at
		}
		if at, ok := p.values[path]; ok { // an element has no key
			return at
		}
		above := strings.LastIndexByte(path, '.')
		if above < 0 {
			return place{1, 1}
		}
		path = path[:above]
	}
}

func (p *positions) value(path string) place {
	if at, ok := p.values[path]; ok {
		return at
	}
	return p.key(path)
}

func findPositions(text string) *positions {
	s := &positionScanner{
		text: text, line: 1, col: 1,
		found:  &positions{keys: map[string]place{}, values: map[string]place{}},
		arrays: map[string]int{},
	}
	s.document()
	return s.found
}

type positionScanner struct {
	text      string
	at        int
	line, col int
	found     *positions
	arrays    map[string]int // elements seen of each array of tables
	table     string         // path of the table we are in
}

func (s *positionScanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *positionScanner) done() bool { return s.at >= len(s.text) }

// next steps over one byte; continuation bytes of UTF-8 do not count as columns.
func (s *positionScanner) next() {
	c := s.peek()
	s.at++
	switch {
	case c == '\n':
		s.line, s.col = s.line+1, 1
	case c&0xc0 != 0x80:
		s.col++
	}
}

func (s *positionScanner) here() place { return place{s.line, s.col} }

// blank steps over spaces, and also over comments and line ends if lines is set.
func (s *positionScanner) blank(lines bool) {
	for !s.done() {
		switch c := s.peek(); {
		case c == ' ' || c == '\t' || c == '\r':
			s.next()
		case c == '\n' && lines:
			s.next()
		case c == '#' && lines:
			for !s.done() && s.peek() != '\n' {
				s.next()
			}
		default:
			return
		}
	}
}

// join is [join] that ends the search if the path becomes too long.
func (s *positionScanner) join(path, key string, at place) string {
	path = join(path, key)
	if len(path) > maxPath && s.found.tooLong == (place{}) {
		s.found.tooLong = at
		s.at = len(s.text)
	}
	return path
}

// ended reports whether the search stopped before the end of the text.
func (p *positions) ended() bool { return p.tooLong != (place{}) }

func (s *positionScanner) document() {
	for {
		s.blank(true)
		if s.done() {
			return
		}
		now := statement{from: s.at, header: s.peek() == '['}
		if now.header {
			s.header()
			now.path = s.table
		} else {
			now.path = s.pair(s.table)
		}
		now.to = min(s.at, len(s.text))
		s.found.statements = append(s.found.statements, now)
	}
}

// header reads [a.b] or [[a.b]].
func (s *positionScanner) header() {
	at := s.here()
	s.next()
	array := s.peek() == '['
	if array {
		s.next()
	}
	keys := s.dotted()
	path := ""
	for i, k := range keys {
		if path = s.join(path, k, at); s.found.ended() {
			return
		}
		if _, ok := s.found.keys[path]; !ok {
			s.found.keys[path] = at
		}
		last := i == len(keys)-1
		if n, ok := s.arrays[path]; ok && !(last && array) {
			path = s.join(path, strconv.Itoa(n-1), at)
		}
	}
	if array {
		n := s.arrays[path]
		s.arrays[path] = n + 1
		path = s.join(path, strconv.Itoa(n), at)
	}
	s.found.keys[path] = at
	s.table = path
	for !s.done() && s.peek() != '\n' {
		s.next()
	}
}

// pair reads key = value and returns its path; it always consumes at least one byte.
func (s *positionScanner) pair(table string) (path string) {
	at, begun := s.here(), s.at
	path = table
	for _, k := range s.dotted() {
		if path = s.join(path, k, at); s.found.ended() {
			return path
		}
		if _, ok := s.found.keys[path]; !ok {
			s.found.keys[path] = at
		}
	}
	s.blank(false)
	if s.peek() == '=' {
		s.next()
		s.blank(false)
		if _, ok := s.found.values[path]; !ok { // of a key that is there twice, the first counts
			s.found.values[path] = s.here()
		}
		s.value(path)
	}
	if s.at == begun {
		s.next()
	}
	return path
}

// dotted reads a key with its dots.
func (s *positionScanner) dotted() []string {
	var keys []string
	for {
		s.blank(false)
		switch c := s.peek(); {
		case c == '"' || c == '\'':
			keys = append(keys, s.quoted())
		case bareKey(c):
			begun := s.at
			for !s.done() && bareKey(s.peek()) {
				s.next()
			}
			keys = append(keys, s.text[begun:s.at])
		default:
			return keys
		}
		s.blank(false)
		if s.peek() != '.' {
			return keys
		}
		s.next()
	}
}

func bareKey(c byte) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoted reads a string of any of the four kinds and returns its contents; escapes are decoded if
// it is a key that can have them.
func (s *positionScanner) quoted() string {
	q := s.peek()
	mark := strings.Repeat(string(q), 3)
	if strings.HasPrefix(s.text[s.at:], mark) {
		s.skip(3)
		begun := s.at
		for !s.done() && !strings.HasPrefix(s.text[s.at:], mark) {
			if q == '"' && s.peek() == '\\' {
				s.next()
			}
			s.next()
		}
		held := s.text[min(begun, len(s.text)):min(s.at, len(s.text))]
		s.skip(3)
		for s.peek() == q { // up to two quotes may precede the closing three
			s.next()
		}
		return held
	}
	begun := s.at
	s.next()
	for !s.done() && s.peek() != q && s.peek() != '\n' {
		if q == '"' && s.peek() == '\\' {
			s.next()
		}
		s.next()
	}
	s.next()
	held := s.text[min(begun+1, len(s.text)):max(min(s.at-1, len(s.text)), min(begun+1, len(s.text)))]
	if q == '"' {
		return unescaped(held)
	}
	return held
}

// unescaped decodes the escapes of a basic string (TOML 1.1).
func unescaped(held string) string {
	if !strings.Contains(held, `\`) {
		return held
	}
	plain := map[byte]byte{'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', 'e': 0x1b, '"': '"', '\\': '\\'}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}
	var b strings.Builder
	for i := 0; i < len(held); i++ {
		if held[i] != '\\' || i+1 == len(held) {
			b.WriteByte(held[i])
			continue
		}
		i++
		if c, ok := plain[held[i]]; ok {
			b.WriteByte(c)
			continue
		}
		n := digits[held[i]]
		code, err := strconv.ParseUint(held[min(i+1, len(held)):min(i+1+n, len(held))], 16, 32)
		if n == 0 || err != nil {
			continue // not valid TOML
		}
		b.WriteRune(rune(code))
		i += n
	}
	return b.String()
}

func (s *positionScanner) skip(n int) {
	for range n {
		if !s.done() {
			s.next()
		}
	}
}

// value reads one value.
func (s *positionScanner) value(path string) {
	switch c := s.peek(); c {
	case '"', '\'':
		s.quoted()
	case '[':
		s.array(path)
	case '{':
		s.next()
		for {
			s.blank(true)
			if s.done() || s.peek() == '}' {
				s.next()
				return
			}
			if s.peek() == ',' {
				s.next()
				continue
			}
			s.pair(path)
		}
	default:
		for !s.done() && !strings.ContainsRune(",]}#\n", rune(s.peek())) {
			s.next()
		}
	}
}

func (s *positionScanner) array(path string) {
	s.next()
	for n := 0; ; {
		s.blank(true)
		switch c := s.peek(); {
		case s.done() || c == ']':
			s.next()
			return
		case c == ',':
			s.next()
		default:
			element := s.join(path, strconv.Itoa(n), s.here())
			n++
			s.found.values[element] = s.here()
			begun := s.at
			s.value(element)
			if s.at == begun {
				s.next()
			}
		}
	}
}

// join adds a key to a path. A key that could not be next to a dot is quoted.
func join(path, key string) string {
	for i := 0; i < len(key) || key == ""; i++ {
		if key == "" || !bareKey(key[i]) {
			key = strconv.Quote(key)
			break
		}
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
