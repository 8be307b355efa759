package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A command line of ours in a guide: what follows the program's name on its line, or in its backquotes.
var shownLine = regexp.MustCompile("(?m)(?:^|[\\s`/])medctrl-supervisor((?: +[^\\s`|&;)]+)+)")

// TestGuidesShowCommandsThatExist holds the README and docs/*.md against the commands and their flags.
func TestGuidesShowCommandsThatExist(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(guides) < 5 {
		t.Fatal(guides, err)
	}
	root := Root("test")
	shown := 0
	for _, guide := range append(guides, "../../README.md", "../../SECURITY.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codeOf(string(text)) {
			for _, at := range shownLine.FindAllStringSubmatchIndex(code, -1) {
				if strings.HasSuffix(code[:at[0]], " -u") {
					continue // the unit of journalctl
				}
				if words := code[at[2]:at[3]]; !exists(root, strings.Fields(words)) {
					t.Errorf("%s shows `medctrl-supervisor%s`, which does not exist", guide, words)
				} else {
					shown++
				}
			}
		}
	}
	if shown < 40 {
		t.Errorf("only %d command lines were found", shown)
	}
}

// codeOf returns what a guide shows as code: blocks for a shell, and what stands in backquotes.
func codeOf(text string) []string {
	var all []string
	fenced := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	for _, block := range fenced.FindAllStringSubmatch(text, -1) {
		if block[1] == "" || block[1] == "sh" {
			all = append(all, block[2])
		}
	}
	return append(all, regexp.MustCompile("`[^`\n]+`").FindAllString(fenced.ReplaceAllString(text, ""), -1)...)
}

// exists says whether the words after the program's name are a command of root with its flags.
func exists(root *cobra.Command, words []string) bool {
	cmd := root
	for i := 0; i < len(words); i++ {
		word := strings.TrimRight(words[i], ",.:")
		switch {
		case strings.HasPrefix(word, "#"), word == "--":
			return true
		case word == "-c":
			i++
		case strings.HasPrefix(word, "--"):
			name, _, _ := strings.Cut(word[2:], "=")
			if cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil && name != "help" {
				return false
			}
		case cmd == root:
			at := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
			if at < 0 {
				return false
			}
			if cmd = root.Commands()[at]; cmd.Name() == "run" {
				return true // what follows are words of the command that is run
			}
		}
	}
	return true
}
