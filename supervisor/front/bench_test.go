package front

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// BenchmarkRequest is a request through the front, by a client that keeps its connection, to a build
// that does nothing.
func BenchmarkRequest(b *testing.B) {
	for name, c := range map[string]struct{ sends, gets int }{
		"GET": {0, 500}, "POST 1KiB": {1 << 10, 500}, "POST 1MiB": {1 << 20, 500}, "GET 1MiB": {0, 1 << 20},
	} {
		b.Run(name, func(b *testing.B) {
			body, answer := make([]byte, c.sends), make([]byte, c.gets)
			socket := serveBuild(b, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Write(answer)
			})
			_, addr := serveFront(b, Route{Build: "a", Location: "/", Socket: socket})
			client := &http.Client{}
			defer client.CloseIdleConnections()
			for b.Loop() {
				method := http.MethodGet
				if c.sends > 0 {
					method = http.MethodPost
				}
				r, err := http.NewRequest(method, "http://"+addr+"/", bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(c.gets) {
					b.Fatal(n, err)
				}
				resp.Body.Close()
			}
		})
	}
}
