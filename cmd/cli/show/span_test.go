package show

import (
	"testing"
	"time"
)

func TestSpanIsShort(t *testing.T) {
	t.Parallel()
	for ago, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", time.Hour: "1h0m",
		12*time.Hour + time.Minute: "12h", 25 * time.Hour: "1d1h", 100 * 24 * time.Hour: "100d",
	} {
		if got := Span(ago); got != want {
			t.Errorf("%v is %s, want %s", ago, got, want)
		}
	}
}
