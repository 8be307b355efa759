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

	"golang.org/x/sys/unix"
)

var rootIDs = regexp.MustCompile(`^[0-9a-f]{16}$`)

// RootID is the random name of the root that dir belongs to: 16 hexadecimal digits, made once and
// kept in dir/id. Children carry it, so that those of another root are never taken for ours. The
// file also says which folder it was made for: in a copy of that, on this machine or another, the
// root gets a name of its own, as it does where the file does not hold one. Children that carry the
// lost name are strangers then. Call it with the lock held.
func RootID(dir string) (string, error) {
	id, err := rootID(dir)
	if err != nil {
		return "", fmt.Errorf("name the root of %s: %w", dir, err)
	}
	return id, nil
}

// RestoreRootID makes dir/id say that the root that dir belongs to is called id, where somebody has
// removed or changed the file or the folder. Call it with the lock held.
func RestoreRootID(dir, id string) error {
	file := filepath.Join(dir, idFile)
	here, err := placeOf(dir)
	if text := []byte(id + " " + here + "\n"); err == nil && !holds(file, text) {
		err = writeFile(file, text)
	}
	if err != nil {
		return fmt.Errorf("name the root of %s: %w", dir, err)
	}
	return nil
}

func rootID(dir string) (string, error) {
	if err := private(dir); err != nil {
		return "", err
	}
	file := filepath.Join(dir, idFile)
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	here, err := placeOf(dir)
	if err != nil {
		return "", err
	}
	if id, place, _ := strings.Cut(strings.TrimSpace(string(b)), " "); rootIDs.MatchString(id) && place == here {
		return id, nil
	}
	var random [8]byte
	rand.Read(random[:]) // never returns an error (crypto/rand, Go 1.24)
	id := hex.EncodeToString(random[:])
	if err := writeFile(file, []byte(id+" "+here+"\n")); err != nil {
		return "", err
	}
	return id, nil
}

// placeOf is what a folder has that its copy has not.
func placeOf(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino), nil
}
