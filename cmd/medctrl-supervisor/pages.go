package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pagesCommand writes what `make install` puts into PREFIX/share, out of the same
// texts that `help` prints.
func pagesCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "pages FOLDER [CHECKOUT]",
		Short:  "Write the manual pages and the shells' completions",
		Hidden: true,
		Long: `Write the manual pages and the shells' completions into a folder, as they lie in
/usr/share; with a checkout of the source builds.toml(5) too, from its docs. The
pages bear the date in $SOURCE_DATE_EPOCH, or none.`,
		Example: "  medctrl-supervisor pages bin/share .",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(errors.New("pages takes a folder to write to, and may take a checkout"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := sourceDate()
			if err != nil {
				return usage(err)
			}
			pages, err := pagesOf(cmd.Root(), date)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				if pages["man/man5/builds.toml.5"], err = formatPage(args[1], date); err != nil {
					return err
				}
			}
			for name, text := range pages {
				path := filepath.Join(args[0], name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return fmt.Errorf("write page: %w", err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					return fmt.Errorf("write page: %w", err)
				}
			}
			return nil
		},
	}
}

// sourceDate is what the pages are dated, so that the same source makes the same
// pages (reproducible-builds.org/specs/source-date-epoch); "" where nobody says.
func sourceDate() (string, error) {
	given := os.Getenv("SOURCE_DATE_EPOCH")
	if given == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(given, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH=%s: want a number of seconds since 1970", given)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

// pagesOf answers the pages of all commands and the completions, by their paths.
func pagesOf(root *cobra.Command, date string) (map[string]string, error) {
	pages := map[string]string{"man/man1/" + root.Name() + ".1": commandPage(root, date)}
	for _, c := range root.Commands() {
		if !c.Hidden {
			pages["man/man1/"+pageName(c)+".1"] = commandPage(c, date)
		}
	}
	for shell, path := range map[string]string{
		"bash": "bash-completion/completions/medctrl-supervisor",
		"zsh":  "zsh/site-functions/_medctrl-supervisor",
		"fish": "fish/vendor_completions.d/medctrl-supervisor.fish",
	} {
		var script bytes.Buffer
		if err := writeCompletion(root, &script, shell); err != nil {
			return nil, fmt.Errorf("write completion for %s: %w", shell, err)
		}
		pages[path] = script.String()
	}
	return pages, nil
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func commandPage(c *cobra.Command, date string) string {
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
	for _, g := range c.Groups() {
		if g == c.Groups()[0] {
			r.section("COMMANDS")
		}
		r.subsection(strings.TrimSuffix(g.Title, ":"))
		for _, sub := range c.Commands() {
			if sub.GroupID == g.ID && !sub.Hidden {
				r.items([]item{{sub.Name(), sub.Short}})
			}
		}
	}
	r.section("OPTIONS")
	c.InitDefaultHelpFlag()
	c.NonInheritedFlags().VisitAll(r.flag)
	c.InheritedFlags().VisitAll(r.flag)
	r.section("EXIT STATUS")
	r.items(exitCodes)
	r.section("ENVIRONMENT")
	r.items(environment)
	r.section("FILES")
	r.items(files)
	r.section("EXAMPLES")
	r.code(strings.ReplaceAll("\n"+c.Example, "\n  ", "\n"))
	r.section("SEE ALSO")
	var others []string
	if c.HasParent() {
		others = append(others, bold(c.Root().Name())+"(1)")
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			others = append(others, bold(pageName(sub))+"(1)")
		}
	}
	r.WriteString(strings.Join(append(others, bold("builds.toml")+"(5)"), ",\n") + "\n")
	return r.String()
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

// formatPage is builds.toml(5), from the documentation in a checkout.
func formatPage(checkout, date string) (string, error) {
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
