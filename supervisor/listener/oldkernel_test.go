package listener

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
)

// actRecover recovers a listener and says how that went, one word a line.
func actRecover(args []string) error {
	path := args[0]
	inode, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	l, err := Recover(path, inode, pid)
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("unsupported")
		return nil
	}
	if err != nil {
		return err
	}
	if !l.Named() {
		return fmt.Errorf("%s is not its name", path)
	}
	fmt.Println("recovered")
	if _, err := l.QueueLen(); errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("uncounted")
	} else if err != nil {
		return err
	}
	other, err := Bind(path+".next", keep)
	if err != nil {
		return err
	}
	if err := other.Take(path); err != nil {
		return err
	}
	if l.Named() || !other.Named() {
		return errors.New("the name was not taken")
	}
	if err := l.Take(path); err != nil { // the child goes on serving it
		return err
	}
	fmt.Println("taken")
	return nil
}

func TestListenersOnAnOldKernel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		without []oldkernel.Feature
		want    []string
	}{
		{nil, []string{"recovered", "taken"}},
		{[]oldkernel.Feature{oldkernel.SockDiag}, []string{"recovered", "uncounted", "taken"}},
		{[]oldkernel.Feature{oldkernel.PidfdNonblock}, []string{"recovered", "taken"}},
		{[]oldkernel.Feature{oldkernel.PidfdGetfd}, []string{"unsupported"}},
		{oldkernel.All(), []string{"unsupported"}},
	} {
		t.Run(fmt.Sprint(c.without), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(short(t), "s")
			inode, child := orphaned(t, path)
			cmd := exec.Command("/proc/self/exe", "recover", path, fmt.Sprint(inode), fmt.Sprint(child))
			cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // it would sleep for a second at its end
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			if err := oldkernel.Start(cmd, c.without...); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Fields(out.String()); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if !served(t, path) {
				t.Error("the child serves no more")
			}
		})
	}
}
