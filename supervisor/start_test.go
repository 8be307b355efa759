package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

func TestSecondSupervisorOfARootIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	s.serves("a")
	before := s.get("a")
	o := s.options(os.Stderr)
	o.Log = hclog.NewNullLogger()
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another supervisor") {
		t.Errorf("a second supervisor: %v", err)
	}
	if now := s.get("a"); now != before {
		t.Errorf("%+v served before, now %+v", before, now)
	}
}

func TestStateOfALaterVersionIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.write("root/.supervisor/state/a.json", `{"Version": 1000}`)
	o := s.options(os.Stderr)
	if _, err := Accept(o.Config, "test"); err == nil || !strings.Contains(err.Error(), "1000") {
		t.Errorf("an upgrade to this version: %v", err)
	}
	o.Log = hclog.NewNullLogger()
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "1000") {
		t.Errorf("a start: %v", err)
	}
}

func TestBuildWithoutReadableStateStarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.write("root/.supervisor/state/a.json", "{ half of it")
	r := s.start()
	s.serves("a")
	if said := r.said.String(); !strings.Contains(said, "is damaged") {
		t.Error("the log says nothing of it")
	}
	kept, err := filepath.Glob(filepath.Join(s.root.State(), "a.json?*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("%q is kept aside, error %v", kept, err)
	}
}

// The socket of a build that was taken out of the file while no supervisor was there.
func TestLeftoversOfABuildThatIsGoneAreEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"), entry("b"))
	first := s.startApart()
	s.serves("a")
	s.serves("b")
	a, b := s.get("a"), s.get("b")
	first.die()
	s.builds("", entry("b"))
	s.startApart()
	s.becomes("b", func(st control.BuildStatus) bool { return st.Pid == b.pid && st.Healthy })
	s.eventually(func() string {
		if !process.Dead(a.pid) {
			return "the server of a build that is gone is left"
		}
		if _, err := os.Stat(s.root.Build("a").Socket()); !errors.Is(err, fs.ErrNotExist) {
			return "its socket is left"
		}
		return ""
	})
	s.becomes("a", func(st control.BuildStatus) bool { return st.Name == "" })
}

// It was taken out of the file while no supervisor was there, and nothing of it was running.
func TestRecordOfABuildThatIsGoneIsRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("b"))
	s.write("root/.supervisor/state/a.json", `{"version": 1, "build": "a", "stopped_by_hand": true}`)
	s.start()
	s.serves("b")
	s.eventually(func() string {
		if _, err := os.Stat(filepath.Join(s.root.State(), "a.json")); !errors.Is(err, fs.ErrNotExist) {
			return "it is left"
		}
		return ""
	})
}

// The file is bad at a start: its last good copy is followed until it is fixed.
func TestStartWithABadFileFollowsItsLastGoodCopy(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	first := s.start()
	s.serves("a")
	first.signals <- syscall.SIGINT
	first.wait()
	good := s.read("builds.toml")
	if copied := s.read("root/.supervisor/builds.toml"); copied != good {
		t.Fatalf("the copy is %q", copied)
	}
	s.write("builds.toml", "roof = \"root\"\n")
	text := []byte(good)
	said := &log{}
	o := s.optionsOf(func() (*config.Config, error) { return config.LoadText(s.file, text) }, said)
	_, o.Wrong = config.Load(s.file)
	s.startWith(o, said)
	s.serves("a")
	if st, err := s.client.Status(t.Context()); err != nil || !strings.Contains(st.Config.Error, "roof") {
		t.Errorf("status is %+v, error %v", st, err)
	}
	s.builds("", entry("a"), entry("b"))
	s.serves("b")
	if st, err := s.client.Status(t.Context()); err != nil || st.Config.Error != "" {
		t.Errorf("status is %+v, error %v", st, err)
	}
}
