package meter

import (
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestSamplesAreOfTheLastHour(t *testing.T) {
	t.Parallel()
	var s meter
	begin := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for i := range 3 * samplesKept {
		if i%2 == 0 { // as if the probes' interval were longer than the samples'
			s.probed(10 * time.Millisecond)
			s.probed(30 * time.Millisecond)
		}
		s.add(control.Sample{Time: begin.Add(time.Duration(i) * sampleEvery), Memory: uint64(i)})
	}
	all := s.samples()
	if len(all) != samplesKept || all[len(all)-1].Memory != uint64(3*samplesKept-1) || all[len(all)-1].Time.Sub(all[0].Time) != time.Hour-sampleEvery {
		t.Fatalf("%d samples, from %v to %v", len(all), all[0], all[len(all)-1])
	}
	for _, one := range all {
		switch even := one.Memory%2 == 0; {
		case even != (one.Latency != nil):
			t.Errorf("sample %d: latency %v", one.Memory, one.Latency)
		case even && (*one.Latency < .0199 || *one.Latency > .0201):
			t.Errorf("sample %d: a mean latency of %v", one.Memory, *one.Latency)
		}
	}
	if s.drop(); len(s.samples()) != 0 {
		t.Error("they were not dropped")
	}
}
