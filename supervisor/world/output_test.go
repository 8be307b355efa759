package world

import (
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Members of control_group pass through the supervisor's own folder: a server that is started shuts nobody
// out.
func TestLogIsOpenedWithoutClosingTheWayToTheControlSocket(t *testing.T) {
	t.Parallel()
	root := layout.Root(t.TempDir())
	trees := trees{root: root, log: hclog.NewNullLogger()}
	for _, mode := range []os.FileMode{0, 0o710} { // 0: it is made
		if mode != 0 {
			if err := os.Chmod(root.Own(), mode); err != nil {
				t.Fatal(err)
			}
		}
		f, err := trees.output(layout.Log(root.Logs(), "one"))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		info, err := os.Stat(root.Own())
		if want := max(mode, 0o700); err != nil || info.Mode().Perm() != want {
			t.Errorf("%v, %v, want %v", info.Mode().Perm(), err, want)
		}
	}
}
