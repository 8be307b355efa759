package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var rootIDs = regexp.MustCompile(`^[0-9a-f]{16}$`)

// RootID is the random name of the root that dir belongs to: 16 hexadecimal digits, made once and kept in dir/id. Children carry it, so that those of
// another root are never taken for ours. A file that does not hold one, which no supervisor writes, is replaced: children
// that carry the lost name are strangers then. Call it with the lock held.
func RootID(dir string) (string, error) {
	id, err := rootID(dir)
	if err != nil {
		return "", fmt.Errorf("name the root of %s: %w", dir, err)
	}
	return id, nil
}

func rootID(dir string) (string, error) {
	if err := private(dir); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "id")
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if id := strings.TrimSpace(string(b)); rootIDs.MatchString(id) {
		return id, nil
	}
	var random [8]byte
	rand.Read(random[:]) // never returns an error (crypto/rand, Go 1.24)
	id := hex.EncodeToString(random[:])
	if err := writeFile(file, []byte(id+"\n")); err != nil {
		return "", err
	}
	return id, nil
}
