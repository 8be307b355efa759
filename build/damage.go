package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Somebody may remove files of an environment, or take rights from them. Then another one is made, in a
// folder of its own: what serves has the damaged one open and goes on with what it has loaded.

// environmentSum stands for what is in the environment at venv: names, sizes, where links lead and what
// is a program, but for bytecode, which Python writes when it likes. Where as may not use something
// it is an error.
func environmentSum(ctx context.Context, venv string, as config.Identity) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(venv, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "__pycache__":
			return fs.SkipDir
		case strings.HasSuffix(d.Name(), ".pyc"):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, size, to := strings.TrimPrefix(path, venv), int64(0), ""
		switch mode := info.Mode(); mode.Type() {
		case fs.ModeSymlink:
			if to, err = os.Readlink(path); err != nil {
				return err
			}
		case 0, fs.ModeDir:
			need := config.Read
			if mode.IsDir() {
				need |= config.Execute
			} else {
				size = info.Size()
			}
			// The owner's rights too: root that has no capabilities has no other.
			st, ok := info.Sys().(*syscall.Stat_t)
			if ok && (config.Right(mode>>6&7)&need != need || !config.Permitted(mode, int(st.Uid), int(st.Gid), as, need)) {
				return fmt.Errorf("%s: the build's user may not use it, its mode is %04o", path, mode.Perm())
			}
		}
		_, err = fmt.Fprintf(h, "%q %v %d %v %q\n", rel, info.Mode().Type(), size, info.Mode().IsRegular() && info.Mode()&0o111 != 0, to)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("look at environment: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// damaged says what has become of an environment that was complete, "" where it is whole. What an earlier
// version made is taken to be.
func damaged(ctx context.Context, venv string, as config.Identity) string {
	record := readEnvironmentRecord(venv)
	if !record.Complete || record.Sum == "" {
		return ""
	}
	switch sum, err := environmentSum(ctx, venv, as); {
	case ctx.Err() != nil:
		return "" // nobody waits for it
	case err != nil:
		return err.Error()
	case sum != record.Sum:
		return "files of environment " + venv + " were removed or changed"
	}
	return ""
}

// replaceDamaged chooses another environment in the place of one that is damaged: the same one each
// time, as an attempt may be repeated.
func (j *job) replaceDamaged(ctx context.Context) {
	for {
		why := damaged(ctx, j.venv, j.as)
		if why == "" {
			return
		}
		j.damage = why
		sum := sha256.Sum256(fmt.Appendf(nil, "in the place of %s %s", j.environment, j.venvID))
		j.venvID = hex.EncodeToString(sum[:])[:16]
		j.venv = j.dir.Venv(j.venvID)
	}
}
