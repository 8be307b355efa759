package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestSamplesOfOneBuildAreItsAlone(t *testing.T) {
	t.Parallel()
	h := NewHandler(&fake{feed: NewFeed(nil)}, NewMetrics("1", fakeSource{}), hclog.NewNullLogger())
	for query, want := range map[string]int{"": 2, "?build=new": 1, "?build=nobody": 0} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/samples"+query, nil))
		if want == 0 {
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", query, w.Code)
			}
			continue
		}
		var got Samples
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Builds) != want || got.Builds["new"][0].Memory != 2 {
			t.Errorf("%s: %+v, %v", query, got, err)
		}
	}
}
