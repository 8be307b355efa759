package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "small")
	must(t, os.Mkdir(root, 0o755))
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(root, syscall.MNT_DETACH)) })
	p := newProject(t, "if on('collectstatic'):\n  with open(os.environ['MEDCTRL_DATA'] + '/big', 'wb') as f: f.write(bytes(1 << 25))\n")
	p.root = root
	p.environment(t)
	good := p.made(t)
	p.write(t, "API/big", string(make([]byte, 32<<20)))
	copying := p.failed(t)
	p.clean(t)
	until(t, "the room of what is removed", func() bool { // a child that another test starts has all open until its exec
		var disk unix.Statfs_t
		return unix.Statfs(root, &disk) == nil && disk.Bavail > disk.Blocks/2
	})
	p.write(t, "API/big", "small")
	p.CollectStatic = true
	p.environment(t)
	collecting := p.failed(t) // by a process, of which only the exit code is known
	p.clean(t)
	for name, step := range map[string]*StepError{"copy": copying, "collectstatic": collecting} {
		if step.Step != name {
			t.Error(step)
		}
		contains(t, step.Error(), "the disk of "+root+" is full", "df -h")
	}
	must(t, os.Remove(filepath.Join(p.data(), "big")))
	p.CollectStatic = false
	if rel := p.made(t); rel.ID <= good.ID {
		t.Errorf("%s after %s", rel.ID, good.ID)
	}
}

func TestErrorForWantOfSpaceSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	step := &StepError{Step: "copy", Err: fmt.Errorf("write a file: %w", unix.ENOSPC)}
	for _, err := range []error{step, fmt.Errorf("write a record: %w", unix.EDQUOT)} {
		full := diskFull(err, dir)
		contains(t, full.Error(), "the disk of "+dir+" is full", "df -h")
		if errors.Unwrap(full) == nil {
			t.Errorf("%v lost its cause", full)
		}
	}
	other := errors.New("another error")
	if err := diskFull(other, filepath.Join(dir, "no", "such")); err != other {
		t.Error(err)
	}
}
