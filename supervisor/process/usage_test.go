package process

import (
	"testing"
	"time"
)

func TestUsageIsOfTheWholeTree(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	busy := spawn(t, tb, sh(t, "(while :; do :; done) & setsid sleep 1000 & wait"))
	idle := spawn(t, tb, sh(t, "exec sleep 1000"))
	eventually(t, "the busy tree to have used time, and the idle one none", func() bool {
		got, err := tb.Usage(t.Context(), []*Child{busy.Child, idle.Child})
		if err != nil {
			t.Fatal(err)
		}
		return got[0].Processes == 3 && got[0].CPU >= 50*time.Millisecond && got[0].Memory > got[1].Memory &&
			got[1].Processes == 1 && got[1].CPU < 50*time.Millisecond && got[1].Memory > 0
	})
	busy.end(0)
	idle.end(0)
	if got, err := tb.Usage(t.Context(), []*Child{busy.Child}); err != nil || got[0] != (Usage{}) {
		t.Errorf("of a tree that is gone: %+v, %v", got, err)
	}
}
