package script

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
)

// Command is a command that a script runs, as far as that can be told without running it.
type Command struct {
	Words []string
	Env   []Variable // before the command, for it alone
	Dir   string     // where the script has gone to by then; "" where that is not known
	Plain bool       // nothing in it is only known while it runs
	Piped bool       // its output goes to another command, or its input comes from one
}

// Script is what a shell script does, in order.
type Script struct {
	Commands []Command
	Exported []Variable
	Unknown  []string   // variables that are exported with a value that only a run would tell
	Assumed  []Variable // variables that are not set, and what stands in for them
	EnvFiles []string   // read by source or .
	Venv     string     // whose activate it reads
	vars     map[string]string
}

// The bounds of a script: what is beyond is no build script.
const (
	mostScript = 64 << 10 // bytes: the parser calls itself for what is nested
	mostSteps  = 100000
	mostValue  = 16 << 10
	mostBraces = 3  // in a word
	mostNested = 20 // functions that call functions
)

// Read goes through a script as a shell would that takes every branch once. known are variables
// that are set when it begins, dir is where.
func Read(text, dir string, known map[string]string) (*Script, error) {
	if len(text) > mostScript {
		return nil, fmt.Errorf("a script of more than %d KiB is not read", mostScript>>10)
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, fmt.Errorf("this is no shell script: %s", redact.Shown(err.Error()))
	}
	r := &scriptReader{Script: &Script{vars: map[string]string{}}, dir: dir, functions: map[string]*syntax.Stmt{}, named: map[string]bool{}}
	for name, value := range known {
		r.vars[name] = value
	}
	if r.statements(file.Stmts); r.steps > mostSteps {
		return nil, errors.New("this script does more than can be followed")
	}
	return r.Script, nil
}

// scriptReader goes through a script. It is also the variables of what is expanded.
type scriptReader struct {
	*Script
	dir       string
	functions map[string]*syntax.Stmt
	depth     int
	steps     int
	piped     int
	named     map[string]bool // variables that stand for themselves: their values are not known
	stand     bool
}

// Get returns a variable.
func (r *scriptReader) Get(name string) expand.Variable {
	if value, ok := r.vars[name]; ok {
		return expand.Variable{Set: true, Kind: expand.String, Str: value}
	}
	if r.stand && name != "IFS" {
		r.named[name] = true
		return expand.Variable{Set: true, Kind: expand.String, Str: "${" + name + "}"}
	}
	return expand.Variable{}
}

// Each is asked for when a program is run: none is.
func (r *scriptReader) Each(func(string, expand.Variable) bool) {}

// Words expands words. What only a run would tell stays as it is written, and plain is false.
func (r *scriptReader) words(words []*syntax.Word) (all []string, plain bool) {
	plain = true
	for _, word := range words {
		if bracesIn(word) > mostBraces { // the library's time grows with the depth of a{b,c{d,e}}
			all, plain = append(all, "…"), false
			continue
		}
		r.stand = false
		some, err := expand.Fields(&expand.Config{Env: r, NoUnset: true}, word)
		if err != nil {
			r.stand = true
			var unset expand.UnsetParameterError
			if !errors.As(err, &unset) {
				r.steps += mostSteps / 50 // such as {1..1000}{1..1000}
			}
			some, err = expand.Fields(&expand.Config{Env: r}, word)
			plain = false
		}
		r.steps += len(some)
		r.assume(word)
		if err != nil {
			var s strings.Builder
			if syntax.NewPrinter().Print(&s, word) != nil {
				s.Reset()
			}
			some = []string{s.String()}
		}
		all = append(all, some...)
	}
	return all, plain
}

// assume notes ${NAME:-VALUE} where nothing sets NAME: it may be set where the script really runs.
func (r *scriptReader) assume(word *syntax.Word) {
	syntax.Walk(word, func(n syntax.Node) bool {
		p, ok := n.(*syntax.ParamExp)
		if !ok || p.Param == nil || p.Exp == nil || p.Exp.Op != syntax.DefaultUnset && p.Exp.Op != syntax.DefaultUnsetOrNull {
			return true
		}
		if _, set := r.vars[p.Param.Value]; !set && len(r.Assumed) < mostAssumed {
			if value, ok := r.value(p.Exp.Word); ok && value != "" && len(value) <= 100 {
				r.Assumed = append(r.Assumed, Variable{Name: p.Param.Value, Value: value})
			}
		}
		return false // what is nested in it stands for nothing else
	})
}

// mostAssumed is of how many variables a script says so.
const mostAssumed = 20

// bracesIn counts the braces in the plain parts of a word.
func bracesIn(word *syntax.Word) (n int) {
	for _, part := range word.Parts {
		if lit, ok := part.(*syntax.Lit); ok {
			n += strings.Count(lit.Value, "{")
			if strings.Contains(lit.Value, "{") && strings.Contains(lit.Value, "..") {
				n += mostBraces // a range, {1..1000}
			}
		}
	}
	return n
}

// Value expands the value of an assignment.
func (r *scriptReader) value(word *syntax.Word) (string, bool) {
	if word == nil {
		return "", true
	}
	r.stand = false
	text, err := expand.Literal(&expand.Config{Env: r, NoUnset: true}, word)
	return text, err == nil
}

func (r *scriptReader) statements(all []*syntax.Stmt) {
	for _, s := range all {
		r.statement(s)
	}
}

func (r *scriptReader) statement(s *syntax.Stmt) {
	if r.steps++; s == nil || r.depth > mostNested || r.steps > mostSteps {
		return
	}
	switch c := s.Cmd.(type) {
	case *syntax.CallExpr:
		r.call(c)
	case *syntax.DeclClause:
		r.declare(c)
	case *syntax.FuncDecl:
		r.functions[c.Name.Value] = c.Body
	case *syntax.BinaryCmd:
		pipe := c.Op == syntax.Pipe || c.Op == syntax.PipeAll
		if pipe {
			r.piped++
		}
		r.statement(c.X)
		r.statement(c.Y)
		if pipe {
			r.piped--
		}
	case *syntax.IfClause:
		for branch := c; branch != nil; branch = branch.Else {
			r.statements(branch.Cond)
			r.statements(branch.Then)
		}
	case *syntax.Block:
		r.statements(c.Stmts)
	case *syntax.Subshell:
		dir := r.dir
		r.statements(c.Stmts)
		r.dir = dir
	case *syntax.ForClause:
		r.statements(c.Do)
	case *syntax.WhileClause:
		r.statements(c.Cond)
		r.statements(c.Do)
	case *syntax.CaseClause:
		for _, item := range c.Items {
			r.statements(item.Stmts)
		}
	case *syntax.TimeClause:
		r.statement(c.Stmt)
	}
}

// call notes a command, or does what only a shell can do.
func (r *scriptReader) call(c *syntax.CallExpr) {
	var own []Variable
	known := true
	for _, a := range c.Assigns {
		if a.Name == nil || a.Array != nil {
			continue
		}
		value, ok := r.value(a.Value)
		if !ok {
			known = known && len(c.Args) == 0
			if len(c.Args) == 0 {
				delete(r.vars, a.Name.Value)
			}
			continue
		}
		if len(c.Args) == 0 {
			r.set(a.Name.Value, value)
		} else {
			own = append(own, Variable{Name: a.Name.Value, Value: value})
		}
	}
	if len(c.Args) == 0 {
		return
	}
	words, plain := r.words(c.Args)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "cd", "pushd":
		if len(words) > 1 {
			r.enter(words[len(words)-1], plain)
		}
		return
	case "source", ".":
		if len(words) > 1 {
			r.source(words[1])
		}
		return
	case "[", "[[", "test", "true", "false", ":", "echo", "printf", "exit", "return", "set", "unset", "shift", "local", "popd", "trap", "wait", "sleep", "umask", "ulimit", "hash", "deactivate":
		return
	}
	if body, ok := r.functions[words[0]]; ok {
		r.depth++
		r.statement(body)
		r.depth--
		return
	}
	r.Commands = append(r.Commands, Command{Words: words, Env: own, Dir: r.dir, Plain: plain && known, Piped: r.piped > 0})
}

// set keeps a variable that the script assigns; one that it had exported goes on being exported.
func (r *scriptReader) set(name, value string) {
	if len(value) > mostValue {
		return // a script that doubles a text again and again
	}
	r.vars[name] = value
	for i := range r.Exported {
		if r.Exported[i].Name == name {
			r.Exported[i].Value = value
		}
	}
}

// enter follows a cd.
func (r *scriptReader) enter(to string, plain bool) {
	switch {
	case to == "-" || !plain && !path.IsAbs(to):
		r.dir = ""
	case path.IsAbs(to):
		r.dir = path.Clean(to)
	case r.dir != "":
		r.dir = path.Join(r.dir, to)
	}
}

// source notes an environment that is activated, or a file of variables.
func (r *scriptReader) source(file string) {
	if !path.IsAbs(file) && r.dir != "" {
		file = path.Join(r.dir, file)
	}
	if path.Base(file) == "activate" {
		r.Venv = path.Dir(path.Dir(file))
		return
	}
	r.EnvFiles = append(r.EnvFiles, file)
}

// declare follows export and its like.
func (r *scriptReader) declare(c *syntax.DeclClause) {
	for _, a := range c.Args {
		switch {
		case a.Name == nil:
			if file := fileIn(a.Value); file != "" { // export $(cat .env | xargs)
				r.source(file)
			}
		case a.Array != nil, a.Naked:
			if value, ok := r.vars[a.Name.Value]; ok && c.Variant.Value == "export" {
				r.Exported = append(r.Exported, Variable{Name: a.Name.Value, Value: value})
			}
		default:
			value, ok := r.value(a.Value)
			if !ok || len(value) > mostValue {
				delete(r.vars, a.Name.Value)
				if c.Variant.Value == "export" {
					r.Unknown = append(r.Unknown, a.Name.Value)
				}
				continue
			}
			r.vars[a.Name.Value] = value
			if c.Variant.Value == "export" {
				r.Exported = append(r.Exported, Variable{Name: a.Name.Value, Value: value})
			}
		}
	}
}

// fileIn returns the file of variables that a command in a word reads.
func fileIn(word *syntax.Word) string {
	found := ""
	if word == nil {
		return ""
	}
	syntax.Walk(word, func(n syntax.Node) bool {
		if lit, ok := n.(*syntax.Lit); ok && found == "" && (strings.HasSuffix(lit.Value, ".env") || strings.HasPrefix(filepath.Base(lit.Value), ".env")) {
			found = lit.Value
		}
		return true
	})
	return found
}

// Variable is one of an environment.
type Variable struct{ Name, Value string }
