package show

import (
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/doctor"
)

func TestFindingsAreAlignedByBuildWithWhatToDo(t *testing.T) {
	t.Parallel()
	all := []doctor.Finding{
		{Level: doctor.OK, Check: "port", Message: "it is free"},
		{Level: doctor.Fail, Build: "one", Check: "interpreter", Message: "none\x1b[2J", Fix: "install it"},
		{Level: doctor.Warn, Build: "one", Check: "index", Message: "far"},
		{Level: doctor.OK, Build: "two", Check: "index", Message: "near"},
	}
	var out strings.Builder
	Findings(&out, all, Look{Columns: 80})
	const want = `this machine
  ok    port         it is free

build one
  fail  interpreter  none[2J
                     → install it
  warn  index        far

build two
  ok    index        near

2 ok, 1 to look at, 1 to fix
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	Findings(&out, all, Look{Columns: 80, Color: true})
	for _, want := range []string{green + "ok  " + plain, yellow + "warn" + plain, red + "fail" + plain} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}
