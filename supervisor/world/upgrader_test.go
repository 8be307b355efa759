package world

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/handover"
)

// A program that is executed in our place cannot be left again: whatever may go wrong with it has to
// be found out while it is only asked.
func TestUpgradeIsRefusedToWhatCannotTakeOver(t *testing.T) {
	t.Parallel()
	newest := strconv.Itoa(handover.Newest)
	for name, c := range map[string]struct{ program, want string }{
		"it accepts":             {`echo '{"Version": "2", "Handover": ` + newest + `, "Root": "/root"}'`, ""},
		"it says no root":        {`echo '{"Version": "2", "Handover": ` + newest + `}'`, ""},
		"it fails":               {"echo the file is bad >&2; exit 3", "does not take over (exit status 3): the file is bad"},
		"it is something else":   {"echo GNU coreutils", `is no supervisor that can take over: it printed "GNU coreutils`},
		"it prints nothing":      {"exit 0", "is no supervisor that can take over"},
		"it is too old":          {`echo '{"Version": "0.1", "Handover": 0, "Root": "/root"}'`, "0.1 is too old to take over from 1: stop and start it"},
		"its file has moved":     {`echo '{"Version": "2", "Handover": ` + newest + `, "Root": "/other"}'`, "root changed from /root to /other"},
		"it is not there":        {"", "does not take over"},
		"it is asked about that": {`[ "$0" = ` + AcceptCommand + ` ] && [ "$A" = b ] && echo '{"Handover": ` + newest + `}'`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "/bin/sh" // what it takes for the file, after -c, is a program to sh
			if c.program == "" {
				path = "/nowhere/medctrl-supervisor"
			}
			u := upgrader{given: &handover.Handover{}, o: &Options{
				Config: &config.Config{Path: c.program, Root: "/root"}, Version: "1", Args: []string{path}, Environ: []string{"A=b", "PATH=/usr/bin:/bin"},
			}}
			a, err := u.Ask(t.Context())
			switch {
			case c.want == "" && (err != nil || a.Handover != handover.Newest):
				t.Errorf("%+v, %v", a, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// What an earlier version handed over is of use or not; it never keeps a supervisor from starting.
func TestInterpretersThatCannotBeReadAreAskedAgain(t *testing.T) {
	t.Parallel()
	log := hclog.NewNullLogger()
	for text, want := range map[string]int{"": 0, "null": 0, `["another", "format"]`: 0, `{"/usr/bin/python3": {"Path": "/usr/bin/python3"}}`: 1} {
		given := &handover.Handover{}
		if text != "" {
			given.Interpreters = []byte(text)
		}
		if known := knownInterpreters(given, log); len(known) != want {
			t.Errorf("%q: %v", text, known)
		}
	}
}

// A group that is not there is said to who edits the file, and who could look before may go on.
func TestReadersStayWhereTheirGroupIsNotKnown(t *testing.T) {
	t.Parallel()
	c := &commands{path: filepath.Join(t.TempDir(), "control.sock"), log: hclog.NewNullLogger()}
	if err := c.SetReaders("root"); err != nil || c.group() != 0 {
		t.Fatalf("group %d, %v", c.group(), err)
	}
	if err := c.SetReaders("no such group"); err == nil || !strings.Contains(err.Error(), "control_group: ") || c.group() != 0 {
		t.Errorf("group %d, %v", c.group(), err)
	}
	if err := c.SetReaders(""); err != nil || c.group() == 0 {
		t.Errorf("group %d, %v", c.group(), err)
	}
}
