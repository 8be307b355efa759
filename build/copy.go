package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// manifestFile records what each file of a release holds, so that the next one
// need not compile again what is the same.
const manifestFile = "manifest.json"

// copyTree copies the application at from to the folder to and answers what it
// copied. Modes become 0640 and 0750, less what the source itself denies.
func copyTree(ctx context.Context, from, to string) (tree, error) {
	t := tree{}
	if err := os.Mkdir(to, 0o750); err != nil {
		return nil, err
	}
	err := walk(ctx, from, func(rel string, d fs.DirEntry) error {
		source, target := filepath.Join(from, rel), filepath.Join(to, rel)
		var err error
		switch {
		case d.IsDir():
			return os.Mkdir(target, 0o750)
		case d.Type() == fs.ModeSymlink:
			if t[rel], err = entryHash(source, d); err == nil {
				err = os.Symlink(strings.TrimPrefix(t[rel], "link "), target)
			}
		default:
			t[rel], err = copyFile(source, target)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("copy the application: %w", err)
	}
	return t, nil
}

func copyFile(from, to string) (hash string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	mode := fs.FileMode(0o640)
	if info.Mode()&0o111 != 0 {
		mode = 0o750
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	hash, err = contentHash(in, out)
	if err == nil {
		err = out.Chmod(mode) // whatever our umask
	}
	if closing := out.Close(); err == nil {
		err = closing
	}
	return hash, err
}

// reuseBytecode takes over what an earlier release compiled of files that are
// the same. Bytecode belongs to a file by its time and size (PEP 552), so the
// file takes over its time too. What cannot be taken over is compiled.
func reuseBytecode(app string, now tree, before string) {
	text, err := os.ReadFile(filepath.Join(before, manifestFile))
	var manifest struct {
		App   string
		Files tree
	}
	if err != nil || json.Unmarshal(text, &manifest) != nil {
		return
	}
	oldApp := filepath.Join(before, manifest.App)
	for rel, hash := range now {
		if filepath.Ext(rel) != ".py" || manifest.Files[rel] != hash {
			continue
		}
		dir, file := filepath.Split(rel)
		compiled, err := filepath.Glob(filepath.Join(oldApp, dir, "__pycache__", strings.TrimSuffix(file, ".py")+".*.pyc"))
		info, serr := os.Stat(filepath.Join(oldApp, rel))
		if err != nil || serr != nil || len(compiled) == 0 {
			continue
		}
		cache := filepath.Join(app, dir, "__pycache__")
		if os.Chtimes(filepath.Join(app, rel), info.ModTime(), info.ModTime()) != nil {
			continue
		}
		// It may be there already; where it cannot be made, the copy fails too.
		_ = os.Mkdir(cache, 0o750)
		for _, pyc := range compiled {
			if _, err := copyFile(pyc, filepath.Join(cache, filepath.Base(pyc))); err != nil {
				return
			}
		}
	}
}

func writeManifest(dir, appDir string, t tree) error {
	text, err := json.Marshal(struct {
		App   string
		Files tree
	}{appDir, t})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifestFile), text, 0o640)
	}
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// seal gives everything below dir to us and the group gid (-1: ours), not
// writable by the group: what serves must not be changed by what runs.
func seal(dir string, gid int) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if gid >= 0 || os.Geteuid() == 0 {
			if err := os.Lchown(path, os.Geteuid(), gid); err != nil {
				return err
			}
		}
		if d.Type() == fs.ModeSymlink {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := info.Mode().Perm() &^ 0o027
		want |= want >> 3 & 0o050 // the group may read what the owner may
		if want == info.Mode().Perm() && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 {
			return nil
		}
		return os.Chmod(path, want)
	})
	if err != nil {
		return fmt.Errorf("protect %s: %w", dir, err)
	}
	return nil
}
