package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// maxFile is the largest file that is read.
const maxFile = 1 << 20

// Load reads and validates the file at path, with everything it names: source,
// settings, interpreter, users. What is wrong with the contents comes back as
// Errors, all of it at once; another error means that the file cannot be read.
func Load(path string) (*Config, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	l := &loader{file: path, dir: filepath.Dir(abs)}
	c := l.load(string(text))
	if len(l.errs) > 0 {
		l.errs.sort()
		return nil, l.errs
	}
	sum := sha256.Sum256(text)
	c.Path, c.Sum = abs, hex.EncodeToString(sum[:])
	return c, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the list of builds: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of builds %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the list of builds: %w", err)
	case len(text) > maxFile:
		return nil, Errors{{File: path, Msg: "larger than 1 MiB, which no list of builds is"}}
	case !utf8.Valid(text):
		at := 0
		for r, n := utf8.DecodeRune(text[at:]); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRune(text[at:]) {
			at += n
		}
		return nil, Errors{{File: path, Line: 1 + bytes.Count(text[:at], []byte("\n")),
			Col: utf8.RuneCount(text[bytes.LastIndexByte(text[:at], '\n')+1:at]) + 1, Msg: "not UTF-8 text"}}
	}
	return text, nil
}

// loader gathers what is wrong with one file.
type loader struct {
	file string
	dir  string // relative paths begin here
	at   *positions
	errs Errors
}

// table is a TOML table as it was read.
type tomlTable = map[string]any

func (l *loader) wrong(at place, key, format string, args ...any) {
	l.errs = append(l.errs, Error{File: l.file, Line: at.line, Col: at.col, Key: key, Msg: fmt.Sprintf(format, args...)})
}

func (l *loader) load(text string) *Config {
	var file tomlTable
	if _, err := toml.Decode(text, &file); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			l.wrong(place{parse.Position.Line, max(parse.Position.Col, 1)}, parse.LastKey, "%s", parse.Message)
		} else {
			l.wrong(place{}, "", "%v", err)
		}
		return nil
	}
	l.at = findPositions(text)
	c := &Config{}
	for name := range file {
		if !slices.Contains(topKeys, name) {
			l.unknown(name, name, topKeys)
		}
	}
	l.root(c, file)
	l.supervisor(c, file)
	l.builds(c, file)
	return c
}

var topKeys = []string{"root", "supervisor", "defaults", "build"}

func (l *loader) unknown(path, name string, known []string) {
	l.wrong(l.at.key(path), path, "unknown key %s%s", name, near(name, known))
}

func (l *loader) root(c *Config, file tomlTable) {
	v, ok := file["root"]
	if !ok {
		l.wrong(place{1, 1}, "root", "root is missing: want the folder that every build lives in, such as \"/opt/medctrl/backend\"")
		return
	}
	if want := set(&c.Root, v); want != "" || c.Root == "" {
		l.mismatch("root", "root", v, "a path")
		return
	}
	c.Root = l.resolve(c.Root)
	if info, err := os.Stat(c.Root); err == nil {
		switch {
		case !info.IsDir():
			l.mismatch("root", "root", v, "a folder")
		case info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
			l.wrong(l.at.value("root"), "root", "root = %q: everybody may write there: chmod o-w it, or choose another", v)
		}
	}
	if c.Root == "/" {
		l.mismatch("root", "root", v, "a folder of its own")
	}
}

func (l *loader) resolve(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, path)
	}
	return filepath.Clean(path)
}

func (l *loader) supervisor(c *Config, file tomlTable) {
	c.Supervisor = Supervisor{
		LogLevel: "info", LogFormat: "text", MaxParallelBuilds: 1,
		LogDir: filepath.Join(c.Root, ".supervisor", "logs"),
	}
	t, ok := l.table("supervisor", file["supervisor"])
	if !ok {
		return
	}
	s := &c.Supervisor
	for _, name := range slices.Sorted(maps.Keys(t)) {
		path, v := join("supervisor", name), t[name]
		want := ""
		switch name {
		case "log_level":
			want = oneOf(&s.LogLevel, v, "trace", "debug", "info", "warn", "error")
		case "log_format":
			want = oneOf(&s.LogFormat, v, "text", "json")
		case "log_dir":
			if want = set(&s.LogDir, v); want == "" {
				s.LogDir = l.resolve(s.LogDir)
			}
		case "max_parallel_builds":
			if want = set(&s.MaxParallelBuilds, v); want == "" {
				want = whole(1, 64)(s.MaxParallelBuilds)
			}
		case "front":
			if want = set(&s.Front, v); want == "" && s.Front != "" {
				want = hostPort(s.Front)
			}
		default:
			l.unknown(path, name, []string{"log_level", "log_format", "log_dir", "max_parallel_builds", "front"})
		}
		if want != "" {
			l.mismatch(path, name, v, want)
		}
	}
}

// table answers v as a table; a value of another kind is an error.
func (l *loader) table(path string, v any) (tomlTable, bool) {
	if v == nil {
		return nil, false
	}
	t, ok := v.(tomlTable)
	if !ok {
		l.mismatch(path, path, v, "a table, ["+path+"]")
	}
	return t, ok
}

func (l *loader) mismatch(path, name string, v any, want string) {
	l.wrong(l.at.value(path), path, "%s = %s: want %s", name, show(v), want)
}

// show writes a value as it would stand in the file, shortened.
func show(v any) string {
	var text string
	switch v := v.(type) {
	case string:
		text = strconv.Quote(v)
	case tomlTable, []tomlTable:
		text = "{…}"
	case time.Time:
		text = v.Format(time.RFC3339)
	default:
		text = fmt.Sprint(v)
	}
	if len(text) > 60 {
		text = text[:57] + "…"
	}
	return text
}
