package supervisor

import (
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// However many clients come, supervision has its descriptors.
func TestClientsNeverUseWhatSupervisionNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limit, builds int }{{300, 2}, {1024, 2}, {1024, 20}, {4096, 10}, {20_000, 1000}, {1 << 20, 3}} {
		b := divide(c.limit, c.builds)
		strangers := 2*b.front.Total + 2*b.files + 2*b.dashboard.Total + 2*b.metrics.Total
		if left := c.limit - strangers; left < reservedBase+control.MaxConns(c.limit)+reservedEach*c.builds {
			t.Errorf("limit %d, %d builds: %+v leaves %d", c.limit, c.builds, b, left)
		}
		if b.front.PerAddress >= b.front.Total || b.dashboard.PerAddress >= b.dashboard.Total || b.metrics.PerAddress > b.metrics.Total {
			t.Errorf("limit %d: one client may take all: %+v", c.limit, b)
		}
	}
	if b := divide(1<<20, 2); b.front.Total != mostClients || b.dashboard.Total != mostLookers || b.metrics.Total != mostScrapers {
		t.Errorf("where there is plenty: %+v", b)
	}
	if b := divide(64, 100); b.front.Total < 4 || b.dashboard.Total < 4 || b.files < 1 || b.metrics.Total < 2 || 2*b.front.Total+2*b.dashboard.Total+2*b.metrics.Total+2*b.files > 64/2 {
		t.Errorf("where there is too little: %+v", b)
	}
}
