package config

import (
	"errors"
	"path/filepath"
	"regexp"

	"github.com/BurntSushi/toml"
)

// rootLine finds the root in a file that is no TOML at the moment.
var rootLine = regexp.MustCompile(`(?m)^[ \t]*root[ \t]*=[ \t]*(?:"([^"\\\n]*)"|'([^'\n]*)')`)

// RootOf answers the root of the file at path, however bad the rest of it is:
// so that the supervisor that runs on it can be asked. The root is absolute.
func RootOf(path string) (string, error) {
	text, err := read(path)
	var bad Errors
	if err != nil && !errors.As(err, &bad) {
		return "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	l := loader{file: path, dir: filepath.Dir(abs)}
	var file struct {
		Root string `toml:"root"`
	}
	if _, err := toml.Decode(string(text), &file); err == nil && file.Root != "" {
		return l.resolve(file.Root), nil
	}
	if m := rootLine.FindSubmatch(text); m != nil {
		return l.resolve(string(m[1]) + string(m[2])), nil
	}
	return "", Errors{{File: path, Line: 1, Col: 1, Key: "root", Msg: "root cannot be read, so no supervisor can be found"}}
}
