package inputs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// settingsClosure is what the settings of a build are read from: its settings file and all that
// this imports from the application, directly or not. Paths are relative to the application.
//
// Imports are read from the text (docs.python.org, reference/simple_stmts.html#import). A name that is put
// together while the program runs may be each of the settings in its package. Text literals are followed
// where they can hardly be anything else: see literals.go.
type settingsClosure struct {
	app     *os.Root
	pkg     []string          // of the settings
	texts   map[string]string // by path, of what is there
	missing map[string]bool   // what would be imported if it were there
	sure    map[string]bool   // what is imported by a statement, and not only perhaps
	guess   bool              // what is added now is not
	queue   []string
	budget  budget
	looks   int // at what may be a module
}

// SettingsFiles returns the settings of b with all that they import, by their paths in the application at
// app; also what is named and not there.
func SettingsFiles(app string, b config.Build) []string { return readSettings(app, b).files() }

// readSettings reads the settings of b in the application at app. What cannot be read counts as
// missing.
func readSettings(app string, b config.Build) *settingsClosure {
	own := filepath.Join(b.SettingsDir, filepath.Base(b.SettingsFile()))
	c := &settingsClosure{texts: map[string]string{}, missing: map[string]bool{own: true}, sure: map[string]bool{}, budget: settingsBudget()}
	var err error
	if c.app, err = os.OpenRoot(app); err != nil {
		return c
	}
	defer c.app.Close()
	c.pkg = strings.Split(filepath.ToSlash(filepath.Clean(b.SettingsDir)), "/")
	c.module(append(slices.Clone(c.pkg), strings.TrimSuffix(filepath.Base(own), ".py")))
	for len(c.queue) > 0 {
		rel := c.queue[0]
		c.queue = c.queue[1:]
		c.follow(rel)
	}
	return c
}

// files returns all of it, sorted: also what is not there, for it may come.
func (c *settingsClosure) files() []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(c.texts)), maps.Keys(c.missing))
	slices.Sort(all)
	return all
}

// add adds a file, and says whether it is there.
func (c *settingsClosure) add(rel string) bool {
	if _, known := c.texts[rel]; known {
		if !c.guess && !c.sure[rel] {
			c.sure[rel] = true
			c.queue = append(c.queue, rel) // so is what it imports
		}
		return true
	}
	text, err := c.budget.read(within(c.app), rel)
	if err != nil {
		return false
	}
	delete(c.missing, rel)
	c.texts[rel] = string(text)
	c.sure[rel] = !c.guess
	c.queue = append(c.queue, rel)
	return true
}

// mostLooks is more than the settings of any build need.
const mostLooks = 50_000

// module adds a module with the packages that it is in, and returns its folder where it is a
// package itself.
func (c *settingsClosure) module(parts []string) (folder string, isPackage bool) {
	dir := "."
	for i, part := range parts {
		if c.looks++; c.looks > mostLooks {
			return "", false
		}
		path := filepath.Join(dir, part)
		switch info, err := c.app.Stat(path); {
		case c.add(filepath.Join(path, "__init__.py")):
		case i == len(parts)-1 && c.add(path+".py"):
			return "", false
		case err == nil && info.IsDir(): // a package without __init__.py (PEP 420)
		default:
			if i == len(parts)-1 {
				c.missing[path+".py"] = true
			}
			return "", false
		}
		dir = path
	}
	return dir, true
}

// follow adds what the file at rel imports.
func (c *settingsClosure) follow(rel string) {
	here := strings.Split(filepath.ToSlash(filepath.Dir(rel)), "/")
	if here[0] == "." {
		here = nil
	}
	tokens := pythonTokens(c.texts[rel])
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		c.guess = !c.sure[rel] || !t.is("from") && !t.is("import")
		switch {
		case t.literal:
			c.literal(rel, here, tokens[:i+1])
		case t.text == "from":
			i = c.from(here, tokens, i+1) - 1
		case t.text == "import":
			i = c.imports(tokens, i+1) - 1
		case isImporter(t) && i+1 < len(tokens) && tokens[i+1].is("("):
			c.imported(here, tokens[i+2:])
		}
	}
}

// from reads what follows "from" and returns the position after it.
func (c *settingsClosure) from(here []string, tokens []pythonToken, i int) int {
	level := 0
	for ; i < len(tokens) && tokens[i].is("."); i++ {
		level++
	}
	var parts []string
	if i < len(tokens) && !tokens[i].is("import") {
		parts, i = dotted(tokens, i)
	}
	if i >= len(tokens) || !tokens[i].is("import") { // "yield from", "raise from"
		return i
	}
	i++
	if level > 0 {
		if level-1 > len(here) {
			return i // out of the application
		}
		parts = append(slices.Clone(here[:len(here)-(level-1)]), parts...)
	}
	folder, isPackage := ".", true
	if len(parts) > 0 {
		folder, isPackage = c.module(parts)
	}
	if i < len(tokens) && tokens[i].is("(") {
		i++
	}
	for i < len(tokens) && tokens[i].name() {
		if isPackage {
			c.module(append(split(folder), tokens[i].text))
		}
		if i++; i+1 < len(tokens) && tokens[i].is("as") {
			i += 2
		}
		if i >= len(tokens) || !tokens[i].is(",") {
			break
		}
		i++
	}
	return i
}

// imports reads what follows "import" and returns the position after it.
func (c *settingsClosure) imports(tokens []pythonToken, i int) int {
	for i < len(tokens) && tokens[i].name() {
		var parts []string
		parts, i = dotted(tokens, i)
		c.module(parts)
		if i+1 < len(tokens) && tokens[i].is("as") {
			i += 2
		}
		if i >= len(tokens) || !tokens[i].is(",") {
			break
		}
		i++
	}
	return i
}

func split(folder string) []string {
	if folder == "." {
		return nil
	}
	return strings.Split(folder, "/")
}

// pythonToken is a name, a mark or a text literal of a Python program.
type pythonToken struct {
	text    string
	literal bool
}

func (t pythonToken) is(text string) bool { return !t.literal && t.text == text }
func (t pythonToken) name() bool          { return !t.literal && nameByte(t.text[0]) }

func nameByte(c byte) bool {
	return c == '_' || c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// dotted reads a module's name and returns its parts and the position after it.
func dotted(tokens []pythonToken, i int) (parts []string, next int) {
	for i < len(tokens) && tokens[i].name() {
		parts = append(parts, tokens[i].text)
		if i++; i >= len(tokens) || !tokens[i].is(".") {
			break
		}
		i++
	}
	return parts, i
}

// pythonTokens splits a program. Comments, white space and line ends are left out, which import
// statements can be told without: import is a keyword. A literal is as it is written.
func pythonTokens(text string) []pythonToken {
	var all []pythonToken
	text = strings.TrimPrefix(text, "\ufeff")
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == '#':
			n := strings.IndexAny(text[at:], "\r\n")
			if n < 0 {
				return all
			}
			at += n
		case c == '"' || c == '\'':
			mark := text[at : at+1]
			if long := strings.Repeat(mark, 3); strings.HasPrefix(text[at:], long) {
				mark = long
			}
			from := at + len(mark)
			to := from
			for to < len(text) && !strings.HasPrefix(text[to:], mark) && (len(mark) == 3 || text[to] != '\n') {
				if text[to] == '\\' {
					to++
				}
				to++
			}
			to = min(to, len(text))
			if last := len(all) - 1; last >= 0 && at > 0 && nameByte(text[at-1]) {
				all = all[:last] // r, b, u, f
			}
			all = append(all, pythonToken{text[from:to], true})
			at = min(to+len(mark), len(text))
		case nameByte(c):
			end := at
			for end < len(text) && nameByte(text[end]) {
				end++
			}
			all = append(all, pythonToken{text[at:end], false})
			at = end
		case c <= ' ' || c == '\\':
			at++
		default:
			all = append(all, pythonToken{text[at : at+1], false})
			at++
		}
	}
	return all
}
