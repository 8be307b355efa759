package show

import (
	"bytes"
	"strings"
	"testing"
)

func TestAFrameFitsItsScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Frame(&out, "one\ntwo\n", 24); err != nil || out.String() != "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	if err := Frame(&out, strings.Repeat("line\n", 50), 10); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\x1b[J"), "\n")
	if len(lines) != 10 || !strings.Contains(lines[8], "a taller terminal shows more") { // the cursor is in the tenth
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	for _, rows := range []int{0, 1, 2} {
		if err := Frame(&out, strings.Repeat("line\n", 50), rows); err != nil {
			t.Errorf("%d rows: %v", rows, err)
		}
	}
}
