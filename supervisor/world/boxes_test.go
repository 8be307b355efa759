package world

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// What is prepared for a start knows nothing of what is of one start alone.
func TestPreparedBoxOpensTheTemporaryFilesAndTheLogOfItsStartOnly(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Here(); err != nil {
		t.Skip(err)
	}
	tt, _ := hooked(t)
	dir := tt.root.Build("one")
	own := config.Identity{UID: -1, GID: -1}
	must(t, build.MakeFolder(dir.Data(), 0o750, -1, -1))
	box := &build.Box{Read: []string{dir.Run()}, Write: []string{dir.Data()}, As: own, Run: dir.Run()}
	const script = `
		touch "$TMPDIR/x" && echo temp
		touch "$DATA/x" && echo data
		touch "$EARLIER/y" 2>&- && echo earlier
		echo more >> "$EARLIER_LOG" && echo log
		true`
	earlier, earlierLog := dir.Data(), ""
	for n := 1; n <= 3; n++ {
		temp := dir.Temp(n)
		must(t, makeTemp(dir.Run(), temp, own))
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		must(t, err)
		spec := process.Spec{
			Argv: []string{"/bin/sh", "-c", script}, Stdout: log, Mark: "test/" + t.Name() + "/" + strconv.Itoa(n),
			Env: []string{"PATH=/usr/bin:/bin", "TMPDIR=" + temp, "DATA=" + dir.Data(), "EARLIER=" + earlier, "EARLIER_LOG=" + earlierLog},
		}
		done, err := tt.boxes.confine(&spec, box, log)
		must(t, err)
		child, err := tt.table.Spawn(spec, nil)
		must(t, err)
		ended := done(child)
		<-child.Done()
		tt.boxes.work.Wait() // for the next one
		must(t, child.End(context.Background(), 0))
		said, err := os.ReadFile(log.Name())
		must(t, err)
		want := "temp data"
		if n == 1 {
			want += " earlier" // it is the data
		}
		if got := strings.Join(strings.Fields(string(said)), " "); !strings.HasPrefix(got, want) || strings.HasSuffix(got, "log") || n > 1 && strings.Contains(got, "earlier") {
			t.Errorf("start %d: %q, want %q", n, got, want)
		}
		must(t, log.Close())
		earlier, earlierLog = temp, log.Name()
		if n == 2 {
			ended() // else the next one has it prepared
		}
	}
}
