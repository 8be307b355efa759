package kubernetes

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

type node = yaml.Node

// plain are texts that no reader of YAML, old or new, takes for anything else.
var (
	plain    = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._=<>-]*([:][A-Za-z0-9/._-]+)*$`)
	notPlain = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

// text is a text that is quoted where it could be read as something else.
func text(s string) *node {
	n := &node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if !plain.MatchString(s) || notPlain.MatchString(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// obj is a mapping of pairs of a key and a value. A value that is nil is left out with its key.
func obj(pairs ...any) *node {
	n := &node{Kind: yaml.MappingNode, Tag: "!!map"}
	for pair := range slices.Chunk(pairs, 2) {
		if v := valueOf(pair[1]); v != nil {
			n.Content = append(n.Content, text(pair[0].(string)), v)
		}
	}
	return n
}

// list is a sequence of nodes, one below the other; nil where it has none.
func list(all ...*node) *node {
	n := &node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, one := range all {
		if one != nil {
			n.Content = append(n.Content, one)
		}
	}
	if len(n.Content) == 0 {
		return nil
	}
	return n
}

// flow writes a node in one line.
func flow(n *node) *node {
	if n != nil {
		n.Style = yaml.FlowStyle
	}
	return n
}

// row is obj in one line.
func row(pairs ...any) *node { return flow(obj(pairs...)) }

// note puts a comment behind a value.
func note(v any, format string, args ...any) *node {
	n := valueOf(v)
	n.LineComment = "# " + oneLine(fmt.Sprintf(format, args...))
	return n
}

// above puts a comment before a node.
func above(n *node, lines ...string) *node {
	for i, line := range lines {
		lines[i] = strings.TrimRight("# "+oneLine(line), " ")
	}
	n.HeadComment = strings.Join(lines, "\n")
	return n
}

func valueOf(v any) *node {
	switch v := v.(type) {
	case nil:
		return nil
	case *node:
		return v
	case string:
		return text(v)
	case []string: // a command, or names
		if len(v) == 0 {
			return nil
		}
		n := &node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, one := range v {
			n.Content = append(n.Content, text(one))
		}
		return n
	case int, int64:
		return &node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
	case bool:
		return &node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	}
	panic(fmt.Sprintf("kubernetes: a value of type %T", v))
}

// dump appends one document.
func dump(to io.Writer, n *node) error {
	var text bytes.Buffer
	d, err := yaml.NewDumper(&text, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(true))
	if err != nil {
		return err
	}
	if err := d.Dump(n); err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	_, err = to.Write(text.Bytes())
	return err
}
