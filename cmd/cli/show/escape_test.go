package show

import (
	"bytes"
	"encoding/json"
	"testing"
)

var printed = []struct{ text, shown string }{
	{"plain line\n", "plain line\n"},
	{"\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\x1b[0m\n"},
	{"\x1b[31mred and\nnot red\n", "\x1b[31mred and\x1b[0m\nnot red\n"}, // colours end with their line
	{"\x1b[38;5;8mgrey\n", "\x1b[38;5;8mgrey\x1b[0m\n"},
	{"\x1b[38;2;8;8;8mdark\n", "\x1b[38;2;8;8;8mdark\x1b[0m\n"},
	{"\x1b[mplain\n", "\x1b[mplain\x1b[0m\n"},
	{"\x1b[8mhidden\n", "^[[8mhidden\n"},
	{"\x1b[1;08mhidden\n", "^[[1;08mhidden\n"},
	{"\x1b[2Jcleared\n", "^[[2Jcleared\n"},
	{"\x1b[1A\x1b[2Kover the line before\n", "^[[1A^[[2Kover the line before\n"},
	{"\x1b[?1049h\n", "^[[?1049h\n"},
	{"\x1b]0;title\x07\n", "^[]0;title^G\n"},
	{"\x1b]52;c;bG9naW4=\x1b\\\n", "^[]52;c;bG9naW4=^[\\\n"}, // the clipboard
	{"\x1bP+q544e\x1b\\\n", "^[P+q544e^[\\\n"},               // the terminal would reply
	{"\x1bc\n", "^[c\n"},
	{"\x1b[31\x01m\n", "^[[31^Am\n"},
	{"a\rb\n", "a^Mb\n"},
	{"dos\r\n", "dos\r\n"},
	{"\x00\x08\x0b\x0c\x7f\n", "^@^H^K^L^?\n"},
	{"tab\there\n", "tab\there\n"},
	{"\x9b31m \xff\n", "<9B>31m <FF>\n"},
	{"\u009b31m\n", "<U+009B>31m\n"}, // the same in UTF-8
	{"\u202eright to left\n", "<U+202E>right to left\n"},
	{"Žluťoučký kůň 日本 👩‍💻\n", "Žluťoučký kůň 日本 👩‍💻\n"},
	{"end \x1b", "end ^["},
	{"end \x1b[3", "end ^[[3"},
	{"end \xc3", "end <C3>"},
	{"\x1b[" + string(bytes.Repeat([]byte("1;"), 100)) + "m\n", "^[[" + string(bytes.Repeat([]byte("1;"), 100)) + "m\n"},
}

func TestNothingButColoursReachesATerminal(t *testing.T) {
	t.Parallel()
	for _, c := range printed {
		if got := escapeAll(c.text, true); got != c.shown {
			t.Errorf("%q: shown as %q, want %q", c.text, got, c.shown)
		}
	}
	if got := escapeAll("\x1b[31mred\x1b[0m\n", false); got != "red\n" {
		t.Errorf("without colours: %q", got)
	}
}

// What is read comes in pieces that end anywhere.
func TestSequenceInPiecesIsShownLikeAWholeOne(t *testing.T) {
	t.Parallel()
	for _, c := range printed {
		for size := 1; size < len(c.text); size++ {
			var out bytes.Buffer
			e := &escaper{out: &out, color: true}
			for at := 0; at < len(c.text); at += size {
				if _, err := e.Write([]byte(c.text[at:min(at+size, len(c.text))])); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.shown {
				t.Errorf("%q in pieces of %d: shown as %q, want %q", c.text, size, out.String(), c.shown)
			}
		}
	}
}

func TestWhatIsNoTerminalGetsBytesAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, c := range printed {
		var out bytes.Buffer
		safe := Safe(&out)
		if _, err := safe.Write([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		if err := safe.Close(); err != nil || out.String() != c.text {
			t.Errorf("%q, %v, want %q", out.String(), err, c.text)
		}
	}
}

func TestJSONForATerminalMeansTheSame(t *testing.T) {
	t.Parallel()
	was := map[string]string{"reason": "\u009b2J \u202e \x7f \x1b[2J Ž \U000E0001"}
	text, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	safe := escapeJSON(append(text, '\n'))
	for _, r := range string(safe) {
		if r != '\n' && !shown(r) {
			t.Errorf("%q has %q", safe, r)
		}
	}
	is := map[string]string{}
	if err := json.Unmarshal(safe, &is); err != nil || is["reason"] != was["reason"] {
		t.Errorf("%q, %v", is, err)
	}
}

func FuzzNothingButColoursReachesATerminal(f *testing.F) {
	for _, c := range printed {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range escapeAll(text, false) {
			if r != '\n' && r != '\t' && r != '\r' && !shown(r) {
				t.Fatalf("%q: %q", text, r)
			}
		}
	})
}
