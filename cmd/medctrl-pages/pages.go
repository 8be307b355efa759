package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/medctrl/medctrl-supervisor/cmd/cli"
)

// shared returns everything that `make install` puts into PREFIX/share, by its path there.
func shared(checkout, version, date string) (map[string]string, error) {
	root := cli.Root(version)
	share := manual(root, version, date)
	format, err := formatPage(checkout, version, date)
	if err != nil {
		return nil, err
	}
	share["man/man5/builds.toml.5"] = format
	for path, write := range map[string]func(*bytes.Buffer) error{
		"bash-completion/completions/medctrl-supervisor":    func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"zsh/site-functions/_medctrl-supervisor":            func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"fish/vendor_completions.d/medctrl-supervisor.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
	} {
		var script bytes.Buffer
		if err := write(&script); err != nil {
			return nil, fmt.Errorf("generate %s: %w", path, err)
		}
		share[path] = script.String()
	}
	return share, nil
}

// manual returns a page for each command, by its path in PREFIX/share.
func manual(root *cobra.Command, version, date string) map[string]string {
	pages := map[string]string{}
	for _, c := range append(root.Commands(), root) {
		if !c.Hidden {
			pages["man/man1/"+pageName(c)+".1"] = commandPage(c, version, date)
		}
	}
	return pages
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// commandPage returns the page of one command, from its help.
func commandPage(c *cobra.Command, version, date string) string {
	r := newRoff(pageName(c), 1, date, "medctrl-supervisor "+version, c.Short)
	r.section("SYNOPSIS")
	_, arguments, _ := strings.Cut(c.Use, " ")
	synopsis := bold(c.CommandPath()) + " [" + italic("OPTION") + "]..."
	if arguments != "" {
		synopsis += " " + italic(arguments)
	}
	r.WriteString(synopsis + "\n")
	if !c.HasParent() {
		fmt.Fprintf(r, ".br\n%s [%s]... %s [%s]...\n", bold(c.Name()), italic("OPTION"), italic("COMMAND"), italic("ARGUMENT"))
	}
	r.section("DESCRIPTION")
	r.prose(c.Long)
	for i, g := range c.Groups() {
		if i == 0 {
			r.section("COMMANDS")
		}
		r.subsection(strings.TrimSuffix(g.Title, ":"))
		for _, sub := range c.Commands() {
			if sub.GroupID == g.ID && !sub.Hidden {
				r.items([]cli.Item{{Name: sub.Name(), Text: sub.Short}})
			}
		}
	}
	r.section("OPTIONS")
	c.InitDefaultHelpFlag()
	c.NonInheritedFlags().VisitAll(r.flag)
	c.InheritedFlags().VisitAll(r.flag)
	r.section("EXIT STATUS")
	r.items(cli.ExitCodes())
	r.section("ENVIRONMENT")
	r.items(cli.Environment())
	r.section("FILES")
	r.items(cli.Files())
	r.section("EXAMPLES")
	r.code(strings.ReplaceAll("\n"+c.Example, "\n  ", "\n"))
	r.section("SEE ALSO")
	r.WriteString(strings.Join(related(c), ",\n") + "\n")
	return r.String()
}

// related returns the pages that the page of a command refers to.
func related(c *cobra.Command) []string {
	var pages []string
	if c.HasParent() {
		pages = append(pages, bold(c.Root().Name())+"(1)")
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			pages = append(pages, bold(pageName(sub))+"(1)")
		}
	}
	return append(pages, bold("builds.toml")+"(5)")
}

func (r *roff) items(items []cli.Item) {
	for _, i := range items {
		r.term(bold(i.Name))
		r.lines(i.Text, escaped)
	}
}

func (r *roff) flag(f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, text := pflag.UnquoteUsage(f)
	name := bold("--" + f.Name)
	if f.Shorthand != "" {
		name = bold("-"+f.Shorthand) + ", " + name
	}
	if value != "" {
		name += " " + italic(value)
	}
	if f.DefValue != "" && f.DefValue != "false" {
		text += " (default " + f.DefValue + ")"
	}
	r.term(name)
	r.lines(text, escaped)
}

// formatPage returns builds.toml(5), from the documentation in a checkout.
func formatPage(checkout, version, date string) (string, error) {
	text, err := os.ReadFile(filepath.Join(checkout, "docs/configuration.md"))
	if err != nil {
		return "", fmt.Errorf("read documentation: %w", err)
	}
	example, err := os.ReadFile(filepath.Join(checkout, "examples/builds.toml"))
	if err != nil {
		return "", fmt.Errorf("read example: %w", err)
	}
	r := newRoff("builds.toml", 5, date, "medctrl-supervisor "+version, "the list of builds of medctrl-supervisor")
	r.section("DESCRIPTION")
	r.markdown(string(text))
	r.section("EXAMPLES")
	r.code(string(example))
	r.section("SEE ALSO")
	r.WriteString(bold("medctrl-supervisor") + "(1),\n" + bold("medctrl-supervisor-check") + "(1)\n")
	return r.String(), nil
}
