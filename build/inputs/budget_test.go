package inputs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hugeFile makes a file of that many bytes, which need no disk.
func hugeFile(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
}

func TestRequirementsOfAnyNumberOfFilesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line  string
		files int
		size  int64
		says  string
	}{
		"large files":  {"-r %d.txt\n", 4, MostText, "more than 16 MiB or 1000 files"},
		"missing ones": {"-r %d.txt\n", 1001, 0, "more than 16 MiB or 1000 files"},
		"archives":     {"./%d.txt\n", 1001, 1, "they name more than 1000 local files and folders"},
	} {
		p := newProject(t)
		var text strings.Builder
		for n := range c.files {
			fmt.Fprintf(&text, c.line, n)
			if c.size > 0 {
				hugeFile(t, filepath.Join(p.Source, fmt.Sprint(n, ".txt")), c.size)
			}
		}
		p.write(t, "requirements.txt", text.String())
		if r := InstallReads(p.Build, p.data(), nil); r.refused == nil || !strings.Contains(r.refused.Error(), c.says) {
			t.Errorf("%s: %v", name, r.refused)
		}
	}
}

func TestSettingsOfAnyNumberOfFilesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	var text strings.Builder
	for n := range 10 {
		fmt.Fprintf(&text, "import huge%d\n", n)
		hugeFile(t, filepath.Join(p.AppPath(), fmt.Sprintf("huge%d.py", n)), MostText)
	}
	rel, err := filepath.Rel(p.Source, p.SettingsFile())
	must(t, err)
	p.write(t, rel, text.String())
	total := 0
	for _, text := range readSettings(p.AppPath(), p.Build).texts {
		total += len(text)
	}
	if total > 64<<20+MostText {
		t.Errorf("%d bytes are kept in memory", total)
	}
}
