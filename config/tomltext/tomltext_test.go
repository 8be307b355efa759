package tomltext

import (
	"maps"
	"slices"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", `"quoted" \ and`, "two\nlines\tand\r", "\x00\x1b[31m\x7f", "\u202e\U0001f600\U000e0001", "#"}
	table := map[string]string{}
	for _, text := range texts {
		table[text] = text
	}
	file := "text = " + Text(texts[2]) + "\ntexts = " + Texts(texts) + "\nlists = " + Lists([][]string{texts, nil}) + "\ntable = " + Table(table) + "\nnone = " + Table(nil) + "\n"
	var got struct {
		Text        string
		Texts       []string
		Lists       [][]string
		Table, None map[string]string
	}
	if _, err := toml.Decode(file, &got); err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	if got.Text != texts[2] || !slices.Equal(got.Texts, texts) || len(got.Lists) != 2 || !slices.Equal(got.Lists[0], texts) || len(got.Lists[1]) != 0 || !maps.Equal(got.Table, table) || len(got.None) != 0 {
		t.Errorf("%+v\n%s", got, file)
	}
}
