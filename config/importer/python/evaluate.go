package python

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
)

// Statement is a logical line of a Python file.
type Statement struct {
	Text     string
	Line     int
	Indented bool
}

// Statements returns the logical lines, without comments.
func Statements(text string) []Statement {
	var all []Statement
	var b strings.Builder
	line, from, depth, quoted := 1, 1, 0, ""
	start := true
	flush := func() {
		raw := b.String()
		if held := strings.TrimSpace(raw); held != "" {
			all = append(all, Statement{held, from, raw[0] == ' ' || raw[0] == '\t'})
		}
		b.Reset()
		start = true
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if start {
			from, start = line, false
		}
		if c == '\n' {
			line++
		}
		switch {
		case quoted != "":
			b.WriteByte(c)
			if c == '\\' && i+1 < len(text) {
				i++
				if text[i] == '\n' {
					line++
				}
				b.WriteByte(text[i])
			} else if strings.HasPrefix(text[i:], quoted) {
				b.WriteString(quoted[1:])
				i += len(quoted) - 1
				quoted = ""
			} else if c == '\n' && len(quoted) == 1 {
				quoted = "" // not closed: Python would refuse the file
				flush()
			}
		case c == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == '"' || c == '\'':
			quoted = string(c)
			if long := strings.Repeat(quoted, 3); strings.HasPrefix(text[i:], long) {
				quoted = long
			}
			b.WriteString(quoted)
			i += len(quoted) - 1
		case c == '\\' && i+1 < len(text) && text[i+1] == '\n':
			b.WriteByte(' ')
			i++
			line++
		case c == '\n' && depth > 0:
			b.WriteByte(' ')
		case c == '\n':
			flush()
		default:
			if strings.IndexByte("([{", c) >= 0 {
				depth++
			} else if strings.IndexByte(")]}", c) >= 0 {
				depth = max(0, depth-1)
			}
			b.WriteByte(c)
		}
	}
	flush()
	return all
}

// Evaluator computes plain expressions.
type Evaluator struct {
	Vars     map[string]any
	Env      func(string) (string, bool)
	Cpus     int
	Computed bool // from the machine or the environment
	text     string
	depth    int
}

var errNotPlain = errors.New("only numbers, texts, cpu_count() and environment variables are read")

var pythonToken = regexp.MustCompile(`^\s*(\d[\d_]*\.\d+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|\d[\d_]*|[A-Za-z_][\w.]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|//|\*\*|[-+*/(),\[\]])`)

// peek returns the next token, next takes it.
func (p *Evaluator) peek() string {
	if m := pythonToken.FindStringSubmatch(p.text); m != nil {
		return m[1]
	}
	return ""
}

func (p *Evaluator) next() string {
	m := pythonToken.FindStringSubmatch(p.text)
	if m == nil {
		return ""
	}
	p.text = p.text[len(m[0]):]
	return m[1]
}

func (p *Evaluator) Eval(text string) (any, error) {
	if len(text) > 4096 {
		return nil, errNotPlain
	}
	p.text, p.depth = text, 0
	v, err := p.sum()
	if err == nil && strings.TrimSpace(p.text) != "" {
		err = errNotPlain
	}
	return v, err
}

func (p *Evaluator) sum() (any, error) {
	if p.depth++; p.depth > 100 {
		return nil, errNotPlain
	}
	defer func() { p.depth-- }()
	v, err := p.product()
	for err == nil && (p.peek() == "+" || p.peek() == "-") {
		op := p.next()
		var with any
		if with, err = p.product(); err == nil {
			v, err = combine(op, v, with)
		}
	}
	return v, err
}

func (p *Evaluator) product() (any, error) {
	v, err := p.atom()
	for err == nil && (p.peek() == "*" || p.peek() == "//") {
		op := p.next()
		var with any
		if with, err = p.atom(); err == nil {
			v, err = combine(op, v, with)
		}
	}
	return v, err
}

func combine(op string, a, b any) (any, error) {
	if x, ok := a.(string); ok {
		y, is := b.(string)
		if op != "+" || !is || len(x)+len(y) > 4096 {
			return nil, errNotPlain
		}
		return x + y, nil
	}
	x, isX := a.(int64)
	y, isY := b.(int64)
	const most = 1 << 31
	switch {
	case !isX || !isY || x > most || y > most || x < -most || y < -most, op == "//" && y == 0:
		return nil, errNotPlain
	case op == "+":
		return x + y, nil
	case op == "-":
		return x - y, nil
	case op == "*":
		return x * y, nil
	}
	q := x / y
	if x%y != 0 && (x < 0) != (y < 0) {
		q--
	}
	return q, nil
}

func (p *Evaluator) atom() (any, error) {
	word := p.next()
	switch {
	case word == "":
		return nil, errNotPlain
	case word == "-":
		v, err := p.atom0()
		if n, ok := v.(int64); ok && err == nil {
			return -n, nil
		}
		return nil, errNotPlain
	case word == "(" || word == "[":
		return p.group(word)
	case word[0] == '"' || word[0] == '\'':
		v := unquotePython(word)
		for next := p.peek(); next != "" && (next[0] == '"' || next[0] == '\''); next = p.peek() {
			v += unquotePython(p.next()) // "a" "b"
		}
		return v, nil
	case word[0] >= '0' && word[0] <= '9':
		n, err := strconv.ParseInt(strings.ReplaceAll(word, "_", ""), 0, 64)
		if err != nil {
			if f, ferr := strconv.ParseFloat(word, 64); ferr == nil && f == float64(int64(f)) {
				return int64(f), nil
			}
			return nil, errNotPlain
		}
		return n, nil
	case word == "True":
		return true, nil
	case word == "False":
		return false, nil
	case word == "None":
		return nil, nil
	case p.peek() == "(":
		p.next()
		return p.call(word)
	}
	if v, ok := p.Vars[word]; ok {
		return v, nil
	}
	if word == "os.environ" && p.peek() == "[" {
		p.next()
		name, err := p.sum()
		if text, ok := name.(string); ok && err == nil && p.next() == "]" {
			return p.variable(text, nil, false)
		}
	}
	return nil, errNotPlain
}

// atom0 is an atom within another one, so that a text of many signs ends.
func (p *Evaluator) atom0() (any, error) {
	if p.depth++; p.depth > 100 {
		return nil, errNotPlain
	}
	defer func() { p.depth-- }()
	return p.atom()
}

// group reads what is in brackets: one value, or a list of texts.
func (p *Evaluator) group(open string) (any, error) {
	closing := map[string]string{"(": ")", "[": "]"}[open]
	var all []string
	var first any
	n := 0
	for p.peek() != closing {
		v, err := p.sum()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			first = v
		}
		if text, ok := v.(string); ok {
			all = append(all, text)
		}
		if n++; p.peek() == "," {
			p.next()
			open = "[" // a tuple
		} else if p.peek() != closing {
			return nil, errNotPlain
		}
	}
	p.next()
	switch {
	case open == "(" && n == 1:
		return first, nil
	case len(all) != n:
		return nil, errNotPlain
	}
	return all, nil
}

// call computes the few functions that such files call.
func (p *Evaluator) call(name string) (any, error) {
	var args []any
	for p.peek() != ")" {
		v, err := p.sum()
		if err != nil {
			return nil, err
		}
		args = append(args, v)
		if p.peek() == "," {
			p.next()
		} else if p.peek() != ")" {
			return nil, errNotPlain
		}
	}
	p.next()
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case last == "cpu_count" && len(args) == 0:
		p.Computed = true
		return int64(p.Cpus), nil
	case (name == "os.environ.get" || name == "os.getenv" || name == "getenv" || name == "environ.get") && len(args) >= 1 && len(args) <= 2:
		text, ok := args[0].(string)
		if !ok {
			return nil, errNotPlain
		}
		var standard any
		if len(args) == 2 {
			standard = args[1]
		}
		return p.variable(text, standard, true)
	case name == "int" && len(args) == 1:
		switch v := args[0].(type) {
		case int64:
			return v, nil
		case string:
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no number", redact.Shown(v))
			}
			return n, nil
		}
	case name == "str" && len(args) == 1:
		switch v := args[0].(type) {
		case int64:
			return strconv.FormatInt(v, 10), nil
		case string:
			return v, nil
		}
	case (name == "max" || name == "min") && len(args) == 2:
		a, isA := args[0].(int64)
		b, isB := args[1].(int64)
		if isA && isB {
			if (name == "max") == (a > b) {
				return a, nil
			}
			return b, nil
		}
	}
	return nil, errNotPlain
}

// variable returns the value of an environment variable.
func (p *Evaluator) variable(name string, standard any, optional bool) (any, error) {
	p.Computed = true
	if value, ok := p.Env(name); ok {
		return value, nil
	}
	if !optional {
		return nil, fmt.Errorf("no file sets %s", redact.Shown(name))
	}
	return standard, nil
}

func unquotePython(token string) string {
	held := token[1 : len(token)-1]
	if !strings.Contains(held, `\`) {
		return held
	}
	var b strings.Builder
	for i := 0; i < len(held); i++ {
		if held[i] == '\\' && i+1 < len(held) {
			n, piece := unitfile.Unescape(held[i+1:])
			b.WriteString(piece)
			i += n
			continue
		}
		b.WriteByte(held[i])
	}
	return b.String()
}
