package main

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli"
)

// checkout is the folder of the source.
const checkout = "../.."

// write writes everything as `make build` does and returns the folder.
func write(t *testing.T) string {
	t.Helper()
	share := filepath.Join(t.TempDir(), "share")
	if err := run(share, checkout, "1700000000"); err != nil {
		t.Fatal(err)
	}
	return share
}

// commands returns the root and all commands that a user is told of.
func commands() []*cobra.Command {
	root := cli.Root("test")
	all := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}

func TestEveryCommandHasAManualPage(t *testing.T) {
	t.Parallel()
	share := write(t)
	for _, c := range commands() {
		text, err := os.ReadFile(filepath.Join(share, "man/man1", pageName(c)+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{`1 "2023-11-14" `, "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "ENVIRONMENT", "FILES", "SEE ALSO",
			"MEDCTRL_CONFIG", "NO_COLOR", "/etc/medctrl/builds.toml", "no supervisor is running", `\-\-config`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("the page of %s has no %s", c.Name(), want)
			}
		}
	}
	format, err := os.ReadFile(filepath.Join(share, "man/man5/builds.toml.5"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`\fB\%keep_releases\fR`, `.SS "[build.health]"`, `default: 3`, "{python}", "EXAMPLES"} {
		if !strings.Contains(string(format), want) {
			t.Errorf("builds.toml(5) has no %s", want)
		}
	}
	if m := regexp.MustCompile("`|\\]\\(|\\*\\*").FindAll(format, -1); m != nil {
		t.Errorf("Markdown is left in builds.toml(5): %q", m)
	}
}

// As the two common programs that read manual pages see them.
func TestManualPagesAreWellFormed(t *testing.T) {
	t.Parallel()
	share := write(t)
	all, err := filepath.Glob(filepath.Join(share, "man/man?/*"))
	if err != nil || len(all) != len(commands())+1 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	tried := false
	for _, lint := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"groff", "-man", "-ww", "-z", "-Tutf8", "-K", "utf8"}} {
		if _, err := exec.LookPath(lint[0]); err != nil {
			continue
		}
		tried = true
		if said, err := exec.Command(lint[0], append(lint[1:], all...)...).CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s: %v\n%s", lint[0], err, said)
		}
	}
	if !tried {
		t.Skip("neither mandoc nor groff is installed")
	}
}

func TestManualPagesOfOneSourceAreTheSame(t *testing.T) {
	t.Setenv("MEDCTRL_CONFIG", "/elsewhere/builds.toml") // which must not show
	one, err := shared(checkout, "1.0", "2026-11-23")
	if err != nil {
		t.Fatal(err)
	}
	two, err := shared(checkout, "1.0", "2026-11-23")
	if err != nil || !maps.Equal(one, two) {
		t.Errorf("two writings differ: %v", err)
	}
	for name, text := range one {
		if strings.Contains(text, "/elsewhere/") {
			t.Errorf("%s has what is in one environment", name)
		}
	}
}

// A line of text must neither be read as a request of roff nor look different when it is copied.
func TestTextIsNotReadAsRoff(t *testing.T) {
	t.Parallel()
	r := &roff{}
	r.prose(".TH x\n'quoted' \\n a-b ~/c `d` é\n\nnext")
	want := "\\&.TH x\n\\(aqquoted\\(aq \\en a\\-b \\(ti/c \\(gad\\(ga \\[u00E9]\n.PP\nnext\n"
	if r.String() != want {
		t.Errorf("%q, want %q", r, want)
	}
}

func TestInstallPutsEveryPageInItsPlace(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	share, dir := write(t), t.TempDir()
	binary := filepath.Join(dir, "medctrl-supervisor")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	// GO=false: what is built already is not built again.
	cmd := exec.Command("make", "--no-print-directory", "-C", checkout, "install", "GO=false", "PREFIX=/usr", "DESTDIR="+filepath.Join(dir, "to"),
		"binary="+binary, "share="+share)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, path := range []string{"bin/medctrl-supervisor", "share/man/man1/medctrl-supervisor.1", "share/man/man1/medctrl-supervisor-rollback.1",
		"share/man/man5/builds.toml.5", "share/bash-completion/completions/medctrl-supervisor", "share/zsh/site-functions/_medctrl-supervisor",
		"share/fish/vendor_completions.d/medctrl-supervisor.fish"} {
		if info, err := os.Stat(filepath.Join(dir, "to/usr", path)); err != nil || info.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
}

func TestMarkdownBecomesRoff(t *testing.T) {
	t.Parallel()
	r := &roff{}
	r.markdown("# title\n\ntext with `code`, **strong** and [a `link`](x.md)\nand more\n\nnext\n\n## part\n\n- one\n- two\n\n" +
		"### [small]\n\n| key | default | meaning |\n| --- | --- | --- |\n| `a` | 3 | what it is |\n| `b` |  | other |\n\n```toml\n.x = 1\n```\n")
	want := `text with \fB\%code\fR, \fB\%strong\fR and a \fB\%link\fR
and more
.PP
next
.SH "part"
.IP \(bu 2
one
.IP \(bu 2
two
.SS "[small]"
.TP
\fB\%a\fR
what it is
.br
(default: 3)
.TP
\fB\%b\fR
other
.PP
.RS 4
.EX
\&.x = 1
.EE
.RE
`
	if r.String() != want {
		t.Errorf("got\n%s\nwant\n%s", r, want)
	}
}

func TestTheDateIsThatOfTheSource(t *testing.T) {
	t.Parallel()
	for epoch, want := range map[string]string{"": "", "0": "1970-01-01", "1700000000": "2023-11-14"} {
		if got, err := sourceDate(epoch); err != nil || got != want {
			t.Errorf("%q: %q, %v", epoch, got, err)
		}
	}
	if err := run(t.TempDir(), checkout, "today"); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH=today: want a number") {
		t.Errorf("%v", err)
	}
}

func TestWhatCannotBeReadOrWrittenIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run(dir, dir, ""); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "docs/configuration.md") {
		t.Errorf("a folder that is no checkout: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(file, checkout, ""); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a folder that is a file: %v", err)
	}
}
