package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages writes all pages as `make build` does, and answers their folder.
func pages(t *testing.T, d *desk) string {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	share := filepath.Join(d.dir, "share")
	cmd := exec.Command(filepath.Join(d.bin, programName), "pages", share, checkout)
	cmd.Env = append(d.env(), "SOURCE_DATE_EPOCH=1700000000")
	if _, errOut, code := d.give(cmd); code != 0 {
		t.Fatal(errOut)
	}
	return share
}

func TestEveryCommandHasAManualPage(t *testing.T) {
	t.Parallel()
	share := pages(t, newDesk(t))
	for _, c := range append(commands(), rootCommand()) {
		text, err := os.ReadFile(filepath.Join(share, "man/man1", pageName(c)+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{`1 "2023-11-14" `, "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "ENVIRONMENT", "FILES", "SEE ALSO",
			"MEDCTRL_CONFIG", "NO_COLOR", "/etc/medctrl/builds.toml", "no supervisor answers", `\-\-config`} {
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

// As another program reads them: one for each of the two that are about.
func TestManualPagesAreWellFormed(t *testing.T) {
	t.Parallel()
	share := pages(t, newDesk(t))
	all, err := filepath.Glob(filepath.Join(share, "man/man?/*"))
	if err != nil || len(all) != len(commands())+2 {
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
		t.Skip("neither mandoc nor groff is here")
	}
}

func TestManualPagesOfOneSourceAreTheSame(t *testing.T) {
	t.Setenv("MEDCTRL_CONFIG", "/elsewhere/builds.toml") // and so not those of one environment
	one, err := pagesOf(rootCommand(), "2026-11-23")
	if err != nil {
		t.Fatal(err)
	}
	two, err := pagesOf(rootCommand(), "2026-11-23")
	if err != nil || !maps.Equal(one, two) {
		t.Errorf("two writings differ: %v", err)
	}
	for name, text := range one {
		if strings.Contains(text, "/elsewhere/") {
			t.Errorf("%s has what is in this environment", name)
		}
	}
}

// A line of a text must neither be a request of roff nor change when it is copied.
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
		t.Skip("make is not here")
	}
	d := newDesk(t)
	share := pages(t, d)
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "install", "GO=false", "PREFIX=/usr", "DESTDIR="+filepath.Join(d.dir, "to"),
		"binary="+filepath.Join(d.bin, programName), "share="+share)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, path := range []string{"bin/medctrl-supervisor", "share/man/man1/medctrl-supervisor.1", "share/man/man1/medctrl-supervisor-rollback.1",
		"share/man/man5/builds.toml.5", "share/bash-completion/completions/medctrl-supervisor", "share/zsh/site-functions/_medctrl-supervisor",
		"share/fish/vendor_completions.d/medctrl-supervisor.fish"} {
		if info, err := os.Stat(filepath.Join(d.dir, "to/usr", path)); err != nil || info.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
}
