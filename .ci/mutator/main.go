// Command mutator finds what no test of a package notices: it changes the package's code in one small
// way after the other, runs the tests, and names the changes that they let pass.
//
// All changes are compiled into one test binary, and an environment variable says which of them is
// made: so a change costs a run of the tests, and no compiler. It is run by .ci/mutate.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	var passes [][]string
	flag.Func("pass", "`arguments` of the tests; with several, what one lets pass is tried by the next", func(text string) error {
		passes = append(passes, strings.Fields(text))
		return nil
	})
	limit := flag.Duration("limit", 0, "how long all of it may take; 0: no limit")
	goTool := flag.String("go", "go", "the go command")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: mutator [-pass ARGUMENTS]... [-limit TIME] FOLDER")
		os.Exit(2)
	}
	if len(passes) == 0 {
		passes = [][]string{nil}
	}
	survivors, err := run(*goTool, flag.Arg(0), passes, *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

// change is one small way in which the code may be wrong.
type change struct {
	at   token.Position
	what string
}

// run returns how many changes no test noticed.
func run(goTool, folder string, passes [][]string, limit time.Duration) (int, error) {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	changes, overlay, err := mutate(folder, work)
	if err != nil {
		return 0, err
	}
	binary := filepath.Join(work, "tests")
	compile := exec.Command(goTool, "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "./"+folder)
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("compile the changed package: %w\n%s", err, out)
	}
	try := func(n int, args []string, patience time.Duration, reached string) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append([]string{"-test.short", "-test.failfast", "-test.timeout=" + patience.String()}, args...)...)
		cmd.Dir, cmd.WaitDelay = folder, time.Second
		cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(n), "MUTANT_REACHED="+reached, "GOTRACEBACK=none")
		out, err := cmd.CombinedOutput()
		if err != nil && n == 0 {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return err
	}
	reachedFile := filepath.Join(work, "reached")
	patience := make([]time.Duration, len(passes))
	for i, args := range passes {
		began := time.Now()
		if err := try(0, args, 20*time.Minute, reachedFile); err != nil {
			return 0, fmt.Errorf("the tests fail without any change: %w", err)
		}
		patience[i] = 10*time.Second + 5*time.Since(began)
		fmt.Printf("%s: a run with %q takes %v\n", folder, args, time.Since(began).Round(time.Millisecond))
	}
	reached, err := lines(reachedFile)
	if err != nil {
		return 0, err
	}
	fmt.Printf("%s: %d changes, %d of them in code that the tests reach\n", folder, len(changes), len(reached))

	var mu sync.Mutex
	var survivors []int
	tried, late := 0, 0
	next := make(chan int)
	var wait sync.WaitGroup
	for range runtime.NumCPU() {
		wait.Go(func() {
			for n := range next {
				var err error
				for i, args := range passes {
					if err == nil {
						err = try(n, args, patience[i], "")
					}
				}
				mu.Lock()
				if tried++; err == nil {
					survivors = append(survivors, n)
					at := changes[n-1].at
					fmt.Printf("  %s:%d:%d: %s\n", at.Filename, at.Line, at.Column, changes[n-1].what)
				}
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	// In no order, but always the same: what a limit leaves time for is a fair sample.
	for _, n := range rand.New(rand.NewPCG(1, 1)).Perm(len(changes)) {
		switch {
		case !reached[n+1]:
		case limit > 0 && time.Since(began) > limit:
			late++
		default:
			next <- n + 1
		}
	}
	close(next)
	wait.Wait()
	fmt.Printf("%s: %d changes tried, %d noticed, %d not; %d in code that no test reaches", folder, tried, tried-len(survivors), len(survivors), len(changes)-len(reached))
	if late > 0 {
		fmt.Printf("; no time for %d", late)
	}
	fmt.Println()
	return len(survivors), nil
}

func lines(path string) (map[int]bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	all := map[int]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		n, err := strconv.Atoi(s.Text())
		if err != nil {
			return nil, err
		}
		all[n] = true
	}
	return all, nil
}

// mutate writes the files of a package anew, with every change in them, and the overlay for the go
// command that puts them in the place of the real ones.
func mutate(folder, work string) ([]change, string, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, "", err
	}
	m := &mutator{fset: token.NewFileSet()}
	replace := map[string]string{}
	pkg := ""
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, "", err
		}
		file, err := parser.ParseFile(m.fset, name, src, parser.ParseComments)
		if err != nil {
			return nil, "", err
		}
		pkg = file.Name.Name
		m.src, m.edits = src, nil
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				ast.Inspect(f.Body, m.visit)
			}
		}
		text, err := format.Source(m.apply())
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		full, err := filepath.Abs(name)
		if err != nil {
			return nil, "", err
		}
		changed := filepath.Join(work, filepath.Base(name))
		if err := os.WriteFile(changed, text, 0o600); err != nil {
			return nil, "", err
		}
		replace[full] = changed
	}
	if pkg == "" {
		return nil, "", errors.New(folder + " has no Go files")
	}
	added, err := filepath.Abs(filepath.Join(folder, "zz_mutant.go"))
	if err != nil {
		return nil, "", err
	}
	replace[added] = filepath.Join(work, "zz_mutant.go")
	if err := os.WriteFile(replace[added], []byte("package "+pkg+switches), 0o600); err != nil {
		return nil, "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(work, "overlay.json")
	return m.changes, path, os.WriteFile(path, overlay, 0o600)
}

// switches is what the changed code asks whether to be wrong, and tells that it was reached.
const switches = `

import (
	"os"
	"strconv"
	"sync"
)

var mutantOn = func() int { n, _ := strconv.Atoi(os.Getenv("MUTANT")); return n }()

var mutantSeen sync.Map

var mutantFile = func() *os.File {
	f, _ := os.OpenFile(os.Getenv("MUTANT_REACHED"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return f
}()

func mutant(n int) bool {
	if mutantFile != nil {
		if _, seen := mutantSeen.LoadOrStore(n, true); !seen {
			_, _ = mutantFile.WriteString(strconv.Itoa(n) + "\n")
		}
	}
	return n == mutantOn
}
`

// mutator collects the edits of one file after the other.
type mutator struct {
	fset    *token.FileSet
	src     []byte
	edits   []edit
	changes []change
}

// edit inserts text at an offset. Of two at one offset, what begins later ends earlier.
type edit struct {
	at    int
	text  string
	opens bool
}

func (m *mutator) change(at ast.Node, what string) int {
	m.changes = append(m.changes, change{m.fset.Position(at.Pos()), what})
	return len(m.changes)
}

func (m *mutator) offset(p token.Pos) int { return m.fset.Position(p).Offset }

func (m *mutator) text(n ast.Node) string {
	return string(bytes.Join(bytes.Fields(m.src[m.offset(n.Pos()):m.offset(n.End())]), []byte(" ")))
}

// wrap puts text before and after a node.
func (m *mutator) wrap(n ast.Node, before, after string) {
	m.edits = append(m.edits, edit{m.offset(n.Pos()), before, true}, edit{m.offset(n.End()), after, false})
}

// boundaries are comparisons that are off by one.
var boundaries = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}

func (m *mutator) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		m.negate(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			m.negate(n.Cond)
		}
	case *ast.BinaryExpr:
		if other, ok := boundaries[n.Op]; ok && !m.nested(n) {
			k := m.change(n, fmt.Sprintf("%s instead of %s in %s", other, n.Op, m.text(n)))
			both := m.text(n.X) + " " + other.String() + " " + m.text(n.Y)
			m.wrap(n, fmt.Sprintf("((mutant(%d) && (%s)) || (!mutant(%d) && (", k, both, k), ")))")
		}
		if n.Op == token.LAND || n.Op == token.LOR {
			k := m.change(n, fmt.Sprintf("only the left of %s", m.text(n)))
			l := m.change(n, fmt.Sprintf("only the right of %s", m.text(n)))
			// a && (b || k) is a where k; (a || l) && b is b where l; the other way round for ||.
			if n.Op == token.LAND {
				m.wrap(n.X, fmt.Sprintf("(mutant(%d) || (", l), "))")
				m.wrap(n.Y, fmt.Sprintf("(mutant(%d) || (", k), "))")
			} else {
				m.wrap(n.X, fmt.Sprintf("(!mutant(%d) && (", l), "))")
				m.wrap(n.Y, fmt.Sprintf("(!mutant(%d) && (", k), "))")
			}
		}
	case *ast.BlockStmt:
		m.leaveOut(n.List)
	case *ast.CaseClause:
		m.leaveOut(n.Body)
	case *ast.CommClause:
		m.leaveOut(n.Body)
	}
	return true
}

// nested reports whether a comparison has a function in it, whose code would be there twice.
func (m *mutator) nested(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		_, is := n.(*ast.FuncLit)
		found = found || is
		return !found
	})
	return found
}

func (m *mutator) negate(cond ast.Expr) {
	k := m.change(cond, "the opposite of "+m.text(cond))
	m.wrap(cond, fmt.Sprintf("mutant(%d) != (", k), ")")
}

// leaveOut has each statement left out that others can do without for the compiler.
func (m *mutator) leaveOut(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" {
					continue
				}
			}
		case *ast.IncDecStmt:
		case *ast.BranchStmt:
			if s.Tok != token.CONTINUE {
				continue
			}
		default:
			continue
		}
		k := m.change(s, "without "+m.text(s))
		m.wrap(s, fmt.Sprintf("if !mutant(%d) { ", k), " }")
	}
}

// apply returns the source with the edits. Their order at one offset keeps what is wrapped twice whole.
func (m *mutator) apply() []byte {
	order := make([]int, len(m.edits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := m.edits[i], m.edits[j]
		switch {
		case a.at != b.at:
			return a.at - b.at
		case a.opens != b.opens: // what ends here does so before anything begins
			if a.opens {
				return 1
			}
			return -1
		case a.opens:
			return i - j // the outer one was visited first
		}
		return j - i
	})
	var out bytes.Buffer
	last := 0
	for _, i := range order {
		e := m.edits[i]
		out.Write(m.src[last:e.at])
		out.WriteString(e.text)
		last = e.at
	}
	out.Write(m.src[last:])
	return out.Bytes()
}
