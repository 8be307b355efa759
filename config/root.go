package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
)

// rootLine finds the root in a file that is not valid TOML at the moment.
var rootLine = regexp.MustCompile(`(?m)^[ \t]*root[ \t]*=[ \t]*(?:"([^"\\\n]*)"|'([^'\n]*)')`)

// RootOf returns the root of the file at path, however bad the rest of the file is, so that the
// supervisor running on that root can be reached. The root is absolute.
func RootOf(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	root, err := rootIn(path, abs)
	if err == nil {
		return root, nil
	}
	if root, ok := remembered(abs); ok {
		return root, nil
	}
	return "", err
}

func rootIn(path, abs string) (string, error) {
	text, err := read(path)
	var bad Errors
	if err != nil && !errors.As(err, &bad) {
		return "", err
	}
	l := document{dir: filepath.Dir(abs)}
	text = withoutBOM(text)
	if root, ok := decode(text).file["root"].(string); ok && root != "" {
		return l.resolve(root), nil
	}
	if m := rootLine.FindSubmatch(text); m != nil {
		if root := string(m[1]) + string(m[2]); root != "" {
			return l.resolve(root), nil
		}
	}
	return "", Errors{{File: path, Line: 1, Col: 1, Key: "root", Msg: "root cannot be read, so no supervisor can be found"}}
}
