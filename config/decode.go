package config

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// decoded is what a TOML text says, as far as it can be read.
type decoded struct {
	file  tomlTable // nil: nothing can be said of what it holds
	at    *positions
	wrong []Error         // what is not TOML, with places
	lost  map[string]bool // paths of keys and tables that stand in what is not TOML
}

// mostRepairs bounds how many mistakes of one text are looked for that the TOML library stops at.
const mostRepairs = 20

// decode parses TOML. The library stops at the first mistake, such as a key that is there twice.
// The other mistakes of the file are to be found as well: so what contains the mistake is blanked
// out, and the rest is parsed again.
func decode(text []byte) decoded {
	d := decoded{at: findPositions(string(text)), lost: map[string]bool{}}
	if d.at.ended() {
		d.wrong = []Error{{Line: d.at.tooLong.line, Col: d.at.tooLong.col,
			Msg: "nested too deep, or too long a key: no list of builds needs that"}}
		return d
	}
	r := repair{decoded: &d, whole: text, text: text, placed: text}
	for {
		var file tomlTable
		_, err := toml.Decode(string(r.text), &file)
		var parse toml.ParseError
		switch {
		case err == nil:
			d.file = file
			if len(d.wrong) > 0 {
				r.merge()
				d.at = findPositions(string(r.placed))
			}
			return d
		case !errors.As(err, &parse):
			d.wrong = append(d.wrong, Error{Line: 1, Col: 1, Msg: oneLine(err.Error())})
			return d
		case !r.remove(parse):
			return d
		}
	}
}

// repair takes what is not TOML out of a text.
type repair struct {
	*decoded
	whole  []byte
	text   []byte      // without what is not TOML
	placed []byte      // the same, but with tables that are there twice, whose keys have places too
	twice  []statement // headers of these
	until  int         // a mistake before it would come from a repair
}

// remove takes out what contains a mistake. It returns false where it cannot be told what that is,
// or where a mistake is only a consequence of one before.
func (r *repair) remove(parse toml.ParseError) bool {
	start := min(max(parse.Position.Start, 0), len(r.whole))
	for start < len(r.whole) && start > 0 && !utf8.RuneStart(r.whole[start]) {
		start-- // the library is sometimes a byte off
	}
	if start < r.until {
		return false
	}
	if len(r.wrong) == 0 { // the first: until now nothing had to be changed
		r.text, r.placed = bytes.Clone(r.whole), bytes.Clone(r.whole)
	}
	p := placeOf(r.whole, start)
	r.wrong = append(r.wrong, Error{Line: p.line, Col: p.col, Key: parse.LastKey, Msg: sentence(parse, r.whole[start:])})
	all := findPositions(string(r.text)).statements
	i := len(all) - 1
	for i >= 0 && all[i].from > start {
		i--
	}
	if i < 0 || len(r.wrong) == mostRepairs {
		return false
	}
	s, twice := all[i], strings.Contains(parse.Message, "already")
	end := s.to
	if s.to == 0 || r.whole[s.to-1] != '\n' {
		end = lineEnd(r.whole, s.to)
	}
	if s.header {
		for next := i + 1; next <= len(all); next++ {
			if next == len(all) {
				end = len(r.whole)
			} else if all[next].header {
				end = all[next].from
				break
			}
		}
	} else if !twice {
		// Where it is an array that is not closed, what follows its first line may be other keys.
		end = lineEnd(r.whole, s.from)
	}
	r.until = max(s.to, start)
	switch {
	case twice && s.header:
		r.twice = append(r.twice, statement{s.path, s.from, end, true})
		blank(r.text[s.from:end])
		return true
	case s.header:
		r.until = end
	}
	if at := strings.LastIndexByte(s.path, '.') + 1; !s.header || !numbers.MatchString(s.path[at:]) {
		r.lost[s.path] = true // the number of an element goes to the next one
	}
	blank(r.text[s.from:end])
	blank(r.placed[s.from:end])
	return true
}

// merge puts what tables hold that are there twice into the first one of each.
func (r *repair) merge() {
	for _, s := range r.twice {
		alone := bytes.Clone(r.whole)
		blank(alone[:s.from])
		blank(alone[s.to:])
		var second tomlTable
		if _, err := toml.Decode(string(alone), &second); err != nil {
			r.lost[s.path] = true // it has a mistake of its own
			continue
		}
		var names []string // without the numbers of elements
		var to any = r.file
		for name := range strings.SplitSeq(s.path, ".") {
			to = child(to, name)
			if !numbers.MatchString(name) {
				names = append(names, name)
			}
		}
		var from any = second
		for _, name := range names {
			from = child(from, name)
		}
		first, ok := to.(tomlTable)
		more, good := from.(tomlTable)
		if !ok || !good {
			continue // such as [[build]] after [build]
		}
		for name, v := range more {
			if _, taken := first[name]; !taken {
				first[name] = v
			}
		}
	}
}

// child returns what a table or a list has under a name or number, nil where there is none.
func child(v any, name string) any {
	switch v := v.(type) {
	case tomlTable:
		return v[name]
	case []tomlTable:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// blank replaces a part of a text by spaces, so that all else keeps its place.
func blank(part []byte) {
	for i, c := range part {
		if c != '\n' && c != '\r' {
			part[i] = ' '
		}
	}
}

// lineEnd returns where the line ends that a byte of text is in.
func lineEnd(text []byte, at int) int {
	if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(text)
}
