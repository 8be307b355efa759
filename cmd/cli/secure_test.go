package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has rights that others could be after")
	}
}

// nobodys is the number of a user that nothing else uses.
const nobodys = 65001

func TestFileThatOthersCanWriteChangesNothingThatRuns(t *testing.T) {
	t.Parallel()
	asRoot(t)
	d := newDesk(t)
	s := d.supervise()
	d.write("builds.toml", "root = \"root\"\n[supervisor]\nlog_level = \"debug\"\n")
	if out, said, code := d.run("reload"); code != 0 {
		t.Fatalf("exit %d, %s%s", code, out, said)
	}
	if err := os.Chown(d.file, nobodys, 0); err != nil {
		t.Fatal(err)
	}
	const words = "its owner, user 65001, may write it, and so act as root: chown root "
	if out, said, code := d.run("reload"); code != exitFailed || !strings.Contains(said, words+d.file) {
		t.Errorf("reload: exit %d, %s%s", code, out, said)
	}
	if out, _, code := d.run("check"); code != exitFailed || !strings.Contains(out, words+d.file) {
		t.Errorf("check: exit %d, %s", code, out)
	}
	s.until("status says so", func(out string, code int) bool { return code == 0 && strings.Contains(out, "has mistakes") })
	s.stop()
	s = d.supervise() // with its last good copy
	s.until("status says so after a start", func(out string, code int) bool { return code == 0 && strings.Contains(out, "has mistakes") })
	if !strings.Contains(s.log.since(0), words) {
		t.Errorf("the log: %s", s.log.since(0))
	}
	if err := os.Chown(d.file, 0, 0); err != nil {
		t.Fatal(err)
	}
	s.until("it is repaired", func(out string, code int) bool { return code == 0 && !strings.Contains(out, "has mistakes") })
	s.stop()
}

// Whoever could have written the copy could have it say what they like.
func TestLastGoodCopyThatOthersCouldHaveWrittenIsNotUsed(t *testing.T) {
	t.Parallel()
	asRoot(t)
	d := newDesk(t)
	d.supervise().stop()
	for _, path := range []string{d.file, filepath.Join(d.dir, "root")} {
		if err := os.Chown(path, nobodys, 0); err != nil {
			t.Fatal(err)
		}
	}
	if out, said, code := d.run(); code != exitFailed || !strings.Contains(said, "is not used: "+filepath.Join(d.dir, "root")+": its owner, user 65001") {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
}

func TestProgramThatOthersCanExchangeDoesNotTakeOver(t *testing.T) {
	t.Parallel()
	asRoot(t)
	d := newDesk(t)
	s := d.supervise()
	if err := os.Chmod(d.bin, 0o777); err != nil {
		t.Fatal(err)
	}
	out, said, code := d.run("upgrade")
	if code != exitFailed || !strings.Contains(said, "could be exchanged: "+d.bin+": everybody may replace what is in it, and so act as root: chmod o-w "+d.bin) {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
	s.stop()
}
