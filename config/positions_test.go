package config

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"pgregory.net/rapid"
)

// paths returns all paths of a table as the TOML library read it.
func paths(path string, v any) []string {
	var all []string
	add := func(key string, v any) {
		at := join(path, key)
		all = append(append(all, at), paths(at, v)...)
	}
	switch v := v.(type) {
	case tomlTable:
		for k, one := range v {
			add(k, one)
		}
	case []tomlTable:
		for i, one := range v {
			add(strconv.Itoa(i), one)
		}
	case []any:
		for i, one := range v {
			add(strconv.Itoa(i), one)
		}
	}
	return all
}

// allFound fails if the library reads a key for which the scanner has no place.
func allFound(t interface{ Errorf(string, ...any) }, text string, file tomlTable, at *positions) {
	rows := strings.Split(text, "\n")
	for _, path := range paths("", file) {
		key, isKey := at.keys[path]
		value, isValue := at.values[path]
		if !isKey && !isValue {
			t.Errorf("%q: no place for %s", text, path)
		}
		for _, p := range []place{key, value} {
			if p != (place{}) && (p.line < 1 || p.line > len(rows) || p.col < 1 || p.col > len([]rune(rows[p.line-1]))) {
				t.Errorf("%q: %s is at %v", text, path, p)
			}
		}
	}
}

// Each » is before a key, or (=) a value, in the order of paths.
func TestKeysAndValuesAreFoundWhereTheyStand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, paths string }{
		{"»a = »1", "a a="},
		{"# c = 1\n\t»a\t=\t»'x' # b = 2\n»b=»2", "a a= b b="},
		{"»a.b . c = »1\n»a.d = »2", "a.b.c a.b.c= a.d a.d="},
		{"»[t]\n»a = »1\n»[t.u] # [x]\n»a = »2\n»[ v . 'w' ]\n»a=»1", "t t.a t.a= t.u t.u.a t.u.a= v.w v.w.a v.w.a="},
		{
			"»[[b]]\n»n = »1\n»[b.h]\n»p = »1\n»[[b]]\n»n = »2\n»[[b.c]]\n»x=»1\n»[[b.c]]\n»x=»2\n»[b.c.d]\n»e=»1",
			"b.0 b.0.n b.0.n= b.0.h b.0.h.p b.0.h.p= b.1 b.1.n b.1.n= b.1.c.0 b.1.c.0.x b.1.c.0.x= b.1.c.1 b.1.c.1.x b.1.c.1.x= b.1.c.1.d b.1.c.1.d.e b.1.c.1.d.e=",
		},
		{
			"»a = »[»1, »'x]', # ]\n »[»2,],\n »{ »b = »1, »c.d = »[] },\n]\n»z=»0",
			"a a= a.0= a.1= a.2= a.2.0= a.3= a.3.b a.3.b= a.3.c.d a.3.c.d= z z=",
		},
		{"»a = »{ »b = »1, # c\n »c = »{ »d = »2 }, }", "a a= a.b a.b= a.c a.c= a.c.d a.c.d="},
		{"»a = »\"\"\"\nb = 1\n[x]\\\"\"\"\"\"\"\n»c = »'''\nd='''''\n»e = »''''''\n»f=»\"\"", "a a= c c= e e= f f="},
		{"»\"a b\" = »1\n»'c.d' = »2\n»\"\\u0065\\t\" = »3\n»'' = »4\n»\"é\".x=»5", `"a b" "a b"= "c.d" "c.d"= "e\t" "e\t"= "" ""= "é".x "é".x=`},
		{"»a = »1979-05-27 07:32:00\n»b = »+1_0.5e3\n»c=»true\r\n»d=»\"é\"", "a a= b b= c c= d d="},
		{"»a = »\"\\\"\" # é\n»b = »'\\'", "a a= b b="},
	} {
		text, marks := unmark(c.text)
		var file tomlTable
		if _, err := toml.Decode(text, &file); err != nil {
			t.Fatalf("%q is not TOML: %v", text, err)
		}
		found := findPositions(text)
		allFound(t, text, file, found)
		want := splitPaths(c.paths)
		if len(want) != len(marks) {
			t.Fatalf("%q has %d marks and %d paths", text, len(marks), len(want))
		}
		for i, path := range want {
			got := found.keys[path]
			if plain, ok := strings.CutSuffix(path, "="); ok {
				got = found.values[plain]
			}
			if got != marks[i] {
				t.Errorf("%q: %s is at %v, want %v", text, path, got, marks[i])
			}
		}
	}
}

// splitPaths splits at spaces outside quotes.
func splitPaths(text string) []string {
	quoted := false
	return strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

// Tables that the library's encoder wrote, in whatever form it likes.
func TestEveryKeyThatTheLibraryReadsHasAPlace(t *testing.T) {
	t.Parallel()
	key := rapid.OneOf(rapid.StringMatching(`[a-z0-9_-]{1,4}`), rapid.StringN(0, 4, 16))
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "]", "}", "#", "\"\"\"", "'''", "\n[x]\n", "a = 1", "\\", "\"", "'", "\r\n"}))
	scalar := rapid.OneOf(rapid.Map(rapid.Int64(), toAny), rapid.Map(rapid.Bool(), toAny), rapid.Map(text, toAny))
	value := scalar
	for range 3 {
		table := rapid.MapOfN(key, value, 0, 3)
		value = rapid.OneOf(scalar, rapid.Map(rapid.SliceOfN(scalar, 0, 3), toAny), rapid.Map(table, toAny),
			rapid.Map(rapid.SliceOfN(table, 1, 3), toAny))
	}
	whole := rapid.MapOfN(key, value, 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		if err := toml.NewEncoder(&b).Encode(whole.Draw(t, "table")); err != nil {
			t.Skip(err)
		}
		written := b.String()
		var file tomlTable
		if _, err := toml.Decode(written, &file); err != nil {
			t.Skip(err)
		}
		at := findPositions(written)
		if at.ended() {
			t.Skip("too long a path")
		}
		allFound(t, written, file, at)
	})
}

func toAny[T any](v T) any { return v }

func TestPlaceOfWhatIsNotThereIsWhereItWouldBe(t *testing.T) {
	t.Parallel()
	p := findPositions("a = 1\n[b]\nc = [ 1,\n 2 ]\n")
	for path, want := range map[string]place{"x": {1, 1}, "b.x.y": {2, 1}, "b.c.1": {4, 2}, "b.c.9": {3, 1}, "a": {1, 5}} {
		if got := p.value(path); got != want {
			t.Errorf("%s is at %v, want %v", path, got, want)
		}
	}
}

func TestScannerEndsOnAnyText(t *testing.T) {
	t.Parallel()
	whole := "a = [1, {b = \"x\", 'c' = '''y'''}]\n[[d.\"e\"]]\n\\u00 = \"\"\"z\\"
	for i := range whole {
		for j := i; j <= len(whole); j++ {
			findPositions(whole[i:j])
		}
	}
	for _, text := range []string{"[", "[[", "]", "}", "=", ".", "a.", ".a", "\"", "'''", "\"\"\"", "\x00", "\xff", "\r", "a=[", "a={", "a={b", "[a", "[[a]", "\"\\u12"} {
		findPositions(text)
		findPositions(text + "\n" + text)
	}
}
