package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// Included is a file with more builds that a builds.toml includes.
type Included struct {
	Path string `json:"path"`
	Text []byte `json:"text"`
}

// What is included may have so many files, and in all so many bytes, and the folders that patterns
// name so many names.
const (
	mostIncluded      = 1000
	mostIncludedBytes = 8 << 20
	mostNames         = 10_000
)

// patterns reads the key include.
func (l *loader) patterns(c *Config, v any) {
	const at = "supervisor.include"
	var all []string
	if want := set(&all, v); want != "" {
		l.mismatch(at, "include", v, `paths or patterns in quotes, ["builds.d/*.toml"]`)
		return
	}
	for i, pattern := range all {
		if want := includePattern(pattern); want != "" {
			l.wrong(l.at.value(join(at, strconv.Itoa(i))), at, "include[%d] = %s: want %s", i, show(pattern), want)
			continue
		}
		if path := l.resolve(pattern); !slices.Contains(c.Include, path) {
			c.Include = append(c.Include, path)
		}
	}
}

// includePattern returns what is wanted in place of a pattern.
func includePattern(pattern string) string {
	folder, name := filepath.Split(pattern)
	_, err := filepath.Match(name, "")
	switch {
	case err != nil, name == "", name == ".", name == "..", strings.ContainsFunc(pattern, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return `a path or a pattern, such as "builds.d/*.toml"`
	case isPattern(folder):
		return `a pattern in the file's name alone, such as "builds.d/*.toml"`
	}
	return ""
}

// isPattern reports whether a text has signs that stand for others (filepath.Match).
func isPattern(text string) bool { return strings.ContainsAny(text, `*?[\`) }

// Includes returns the paths and patterns that the file at path includes, absolute, however bad the rest
// of it is.
func Includes(path string) []string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	text, err := read(abs)
	if bad := (Errors)(nil); err != nil && !errors.As(err, &bad) {
		return nil
	}
	l := loader{document: &document{dir: filepath.Dir(abs)}}
	if t, ok := l.read(withoutBOM(text))["supervisor"].(tomlTable); ok {
		c := &Config{}
		l.patterns(c, t["include"])
		return c.Include
	}
	return nil
}

// Unmatched returns the patterns that no file matches.
func (c *Config) Unmatched() []string {
	return slices.DeleteFunc(slices.Clone(c.Include), func(pattern string) bool {
		return !isPattern(filepath.Base(pattern)) || slices.ContainsFunc(c.Included, func(f Included) bool {
			ok, err := filepath.Match(filepath.Base(pattern), filepath.Base(f.Path))
			return ok && err == nil && filepath.Dir(pattern) == filepath.Dir(f.Path)
		})
	})
}

// moreBuilds is what an included file holds.
type moreBuilds struct {
	*document
	builds any
}

// include reads the files that are included, those of each pattern in the order of their names.
func (l *loader) include(c *Config) []moreBuilds {
	first := l.document
	defer func() { l.document = first }()
	var all []moreBuilds
	for _, one := range l.includedTexts(c) {
		if l.own = append(l.own, one.Path); one.Text == nil {
			continue // what is wrong with it was reported, or is later
		}
		l.document = first.beside(one.Path)
		file := l.read(withoutBOM(one.Text))
		for name := range file {
			if name != "build" {
				l.wrong(l.at.key(join("", name)), name, "%s does not belong here: in a file that %s includes want nothing but [[build]]%s",
					shownKey(name), filepath.Base(first.file), Near(name, []string{"build"}))
			}
		}
		all = append(all, moreBuilds{l.document, file["build"]})
	}
	return all
}

// beside returns the document of another file, which is named as the first one is.
func (d *document) beside(path string) *document {
	file := path
	if rel, err := filepath.Rel(d.dir, path); err == nil && filepath.IsLocal(rel) {
		file = filepath.Join(filepath.Dir(d.file), rel)
	}
	return &document{file: file, dir: filepath.Dir(path), at: findPositions("")}
}

// includedTexts returns the files that are included, without a text where that cannot be read.
func (l *loader) includedTexts(c *Config) []Included {
	if l.applied {
		c.Included = l.copied
		return c.Included
	}
	size := 0
	for _, pattern := range c.Include {
		for _, path := range l.matches(pattern) {
			if path == l.own[0] || slices.ContainsFunc(c.Included, func(f Included) bool { return f.Path == path }) {
				continue
			}
			if len(c.Included) == mostIncluded {
				l.wrongInclude("", "more than %d files are included, which no list of builds needs", mostIncluded)
				return c.Included
			}
			text := l.includedText(path)
			if size += len(text); size > mostIncludedBytes {
				l.wrongInclude("", "the files that are included have more than %d MiB, which no list of builds has", mostIncludedBytes>>20)
				return c.Included
			}
			c.Included = append(c.Included, Included{path, text})
		}
	}
	return c.Included
}

// wrongInclude is a mistake that stands at the key. about is the file or folder that is what is wrong.
func (l *loader) wrongInclude(about, format string, args ...any) {
	const at = "supervisor.include"
	l.wrong(l.at.value(at), at, "include: "+format, args...)
	l.errs[len(l.errs)-1].About = about
}

// matches returns the files that a path or a pattern means. Hidden ones are meant only by a pattern
// that begins with a dot, as in a shell: an editor's draft is none.
func (l *loader) matches(pattern string) []string {
	folder, name := filepath.Split(pattern)
	if !isPattern(name) {
		if _, err := os.Lstat(pattern); err != nil {
			l.wrongInclude(pattern, "there is no file %s%s", pattern, unexpanded(pattern))
			return nil
		}
		return []string{pattern}
	}
	names, err := namesIn(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		l.wrongInclude(filepath.Clean(folder), "%v", err)
		return nil
	}
	var all []string
	for _, one := range names {
		hidden := strings.HasPrefix(one, ".") && !strings.HasPrefix(name, ".")
		if ok, err := filepath.Match(name, one); ok && err == nil && !hidden {
			all = append(all, filepath.Join(folder, one))
		}
	}
	slices.Sort(all)
	return all
}

func namesIn(folder string) ([]string, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	names, err := f.Readdirnames(mostNames + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(names) > mostNames:
		return nil, fmt.Errorf("more than %d files are in %s", mostNames, folder)
	}
	return names, nil
}

// includedText reads an included file; nil where that cannot or must not be. What somebody else could
// have put there is not even read by root, whose messages quote it: Exposed says who. No link is
// followed to where somebody else decides what is read.
func (l *loader) includedText(path string) []byte {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone in this moment
	}
	wrong := func(format string, args ...any) {
		e := Error{File: l.beside(path).file, Line: 1, Col: 1, Msg: fmt.Sprintf(format, args...), About: path}
		l.errs = append(l.errs, e)
	}
	who := custody.Custody{UIDs: trusted()}
	unsafe := who.Grave(path)
	if unsafe != nil && os.Geteuid() == 0 {
		return nil
	}
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && unsafe != nil {
		wrong("a link is not followed to where somebody else decides what is read: %v", unsafe)
		return nil
	}
	text, err := read(path)
	var bad Errors
	switch {
	case errors.As(err, &bad):
		for _, e := range bad {
			e.File = l.beside(path).file
			l.errs = append(l.errs, e)
		}
		return nil
	case err != nil:
		wrong("%v", err)
		return nil
	}
	if text == nil {
		text = []byte{}
	}
	return text
}

// Places of mistakes that were found after another file was begun.

// place is where the value stands.
func (o origin) place() place { return o.in.at.value(o.path) }

// below is the origin of a key of the table there.
func (o origin) below(key string) origin { return origin{path: join(o.path, key), in: o.in} }

// from says where it is, for a message about what stands in a document.
func (o origin) from(in *document) string {
	if o.in == in {
		return fmt.Sprintf("line %d", o.place().line)
	}
	return fmt.Sprintf("%s:%d", o.in.file, o.place().line)
}

// wrongAt is a mistake in a value, whatever file it is in.
func (l *loader) wrongAt(o origin, format string, args ...any) {
	now := l.document
	l.document = o.in
	l.wrong(o.place(), o.path, format, args...)
	l.document = now
}

// Copies, which need no other file.

// sum identifies the bytes of all files.
func (c *Config) sum() string {
	h := sha256.New()
	h.Write(c.Text)
	for _, f := range c.Included {
		fmt.Fprintf(h, "\x00%s\x00%d\x00", f.Path, len(f.Text))
		h.Write(f.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// MaxCopy is more bytes than a Copy has.
const MaxCopy = 2 * (maxFile + mostIncludedBytes + mostIncluded*4096)

// copies is a Copy of more files than one. No TOML file begins as its JSON does.
type copies struct {
	Text     []byte     `json:"text"`
	Included []Included `json:"included"`
}

// Copy returns everything that [LoadText] needs in place of the files.
func (c *Config) Copy() []byte {
	if len(c.Included) == 0 {
		return c.Text
	}
	text, err := json.Marshal(copies{c.Text, c.Included})
	if err != nil {
		panic(fmt.Sprintf("config: copy of %s: %v", c.Path, err)) // bytes and texts
	}
	return text
}

func unpack(text []byte) ([]byte, []Included, error) {
	if !bytes.HasPrefix(text, []byte("{")) {
		return text, nil, nil
	}
	var all copies
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, nil, err
	}
	return all.Text, all.Included, nil
}
