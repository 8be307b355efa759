package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var sample = []Route{
	{Build: "testing", Location: "/test.api", Socket: "/opt/medctrl/testing/gunicorn.sock"},
	{Build: "development", Location: "/api", Socket: "/opt/medctrl/development/gunicorn.sock"},
	{Build: "hidden", Socket: "/opt/medctrl/hidden/gunicorn.sock"},
	{Build: "site", Location: "/", Socket: "/opt/med ctrl/site/gunicorn.sock"},
}

func TestNginxTextIsAsDocumented(t *testing.T) {
	t.Parallel()
	const want = `# The builds of /opt/medctrl.
# A request that a killed worker held is tried once more, idempotent methods only.
# Include this inside a server block:
#
#     server {
#         listen 80;
#         include /path/to/this/file;
#     }

location / {
    include proxy_params;
    error_page 502 = @medctrl_site_again;
    proxy_pass "http://unix:/opt/med ctrl/site/gunicorn.sock";
}

location @medctrl_site_again {
    if ($request_method !~ ^(GET|HEAD|OPTIONS|PUT|DELETE)$) { return 502; }
    include proxy_params;
    proxy_pass "http://unix:/opt/med ctrl/site/gunicorn.sock";
}

location /api {
    include proxy_params;
    if ($uri ~ ^/api[^/]) { return 404; }
    rewrite ^/api$ / break;
    rewrite ^/api(.*)$ $1 break;
    error_page 502 = @medctrl_development_again;
    proxy_pass http://unix:/opt/medctrl/development/gunicorn.sock;
}

location @medctrl_development_again {
    if ($request_method !~ ^(GET|HEAD|OPTIONS|PUT|DELETE)$) { return 502; }
    include proxy_params;
    proxy_pass http://unix:/opt/medctrl/development/gunicorn.sock;
}
`
	var b strings.Builder
	if err := Nginx(&b, []Route{sample[3], sample[1], sample[2]}, false, "/opt/medctrl"); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := Nginx(&b, sample[1:2], true, "/opt/medctrl"); err != nil {
		t.Fatal(err)
	}
	if plain := "\nlocation /api {\n    include proxy_params;\n    rewrite ^/api(.*)$ $1 break;\n    proxy_pass http://unix:/opt/medctrl/development/gunicorn.sock;\n}\n"; !strings.HasSuffix(b.String(), plain) {
		t.Errorf("got\n%s\nwant at its end\n%s", b.String(), plain)
	}
}

func TestWhatNginxCannotWriteIsRefused(t *testing.T) {
	t.Parallel()
	for _, r := range []Route{
		{Build: "a", Location: "/a", Socket: "/r/$x/s"},
		{Build: "a", Location: "/a", Socket: "/r:x/s"},
		{Build: "a", Location: "/a\n", Socket: "/r/s"},
	} {
		for _, plain := range []bool{true, false} {
			if err := Nginx(io.Discard, []Route{r}, plain, "/r"); err == nil {
				t.Errorf("%+v was written", r)
			}
		}
	}
}

// nginxForms are the ways to include what this package prints: what goes into the http block and
// what into the server block.
var nginxForms = map[string]func(in, server io.Writer, given []Route) error{
	"default": func(_, server io.Writer, given []Route) error { return Nginx(server, given, false, "/r") },
	"plain":   func(_, server io.Writer, given []Route) error { return Nginx(server, given, true, "/r") },
	"upstreams": func(in, server io.Writer, given []Route) error {
		return errors.Join(NginxUpstreams(in, given), NginxLocations(server, given))
	},
}

const proxyParams = `proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
`

// writeNginxConf makes a prefix folder for a private Nginx on a unix socket.
func writeNginxConf(t *testing.T, form string, given []Route) (dir, socket string) {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not installed")
	}
	dir = socketDir(t)
	socket = filepath.Join(dir, "nginx.sock")
	var in, server strings.Builder
	if err := nginxForms[form](&in, &server, given); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { }
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
    include http.conf;
    server { listen unix:%[2]s; include server.conf; }
}
`, dir, socket)
	for name, text := range map[string]string{"nginx.conf": conf, "http.conf": in.String(), "server.conf": server.String(), "proxy_params": proxyParams} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, socket
}

// nginx is the command with dir as its prefix, so that it leaves the system's Nginx alone. -e came
// with 1.19.5; without it, Nginx tries /var/log/nginx first.
func nginx(dir string, args ...string) *exec.Cmd {
	args = append(args, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	if help, _ := exec.Command("nginx", "-h").CombinedOutput(); strings.Contains(string(help), "-e filename") {
		args = append(args, "-e", filepath.Join(dir, "error.log"))
	}
	return exec.Command("nginx", args...)
}

// serveNginx runs an Nginx of its own and returns a client for it.
func serveNginx(t *testing.T, form string, given []Route) *http.Client {
	t.Helper()
	dir, socket := writeNginxConf(t, form, given)
	cmd := nginx(dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx does not respond: %v\n%s", err, log)
		}
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

func TestNginxAcceptsTheText(t *testing.T) {
	t.Parallel()
	for form := range nginxForms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			dir, _ := writeNginxConf(t, form, sample)
			if out, err := nginx(dir, "-t").CombinedOutput(); err != nil {
				text, _ := os.ReadFile(filepath.Join(dir, "server.conf"))
				t.Errorf("%v\n%s\n%s", err, out, text)
			}
		})
	}
}

func TestNginxStripsTheLocation(t *testing.T) {
	t.Parallel()
	for form := range nginxForms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
			client := serveNginx(t, form, []Route{{Build: "a", Location: "/a.i", Socket: socket}})
			want := map[string]string{"/a.i/x?q=1": "/x?q=1", "/a.i/": "/", "/axi/x": "404", "/a.ix": "404", "/a.i": "/"}
			if form == "plain" {
				delete(want, "/a.ix")
				want["/a.i"] = "500"
			}
			for path, answer := range want {
				resp, err := client.Get("http://x" + path)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if got := string(text); got != answer && fmt.Sprint(resp.StatusCode) != answer {
					t.Errorf("%s: %d %q, want %s", path, resp.StatusCode, got, answer)
				}
			}
		})
	}
}

func TestNginxLeavesALocationThatIsKept(t *testing.T) {
	t.Parallel()
	for form := range nginxForms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
			client := serveNginx(t, form, []Route{{Build: "a", Location: "/a.i", Keep: true, Socket: socket}})
			want := map[string]string{"/a.i/x?q=1": "/a.i/x?q=1", "/a.i/b%2Fc": "/a.i/b%2Fc", "/a.i/": "/a.i/", "/a.i": "/a.i", "/axi/x": "404", "/a.ix": "404"}
			if form == "plain" {
				delete(want, "/a.ix")
			}
			for path, answer := range want {
				resp, err := client.Get("http://x" + path)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if got := string(text); err != nil || got != answer && fmt.Sprint(resp.StatusCode) != answer {
					t.Errorf("%s: %d %q, %v, want %s", path, resp.StatusCode, got, err, answer)
				}
			}
		})
	}
}

func TestNginxSendsABrokenIdempotentRequestOnceMore(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"default", "upstreams"} {
		for method, again := range map[string]bool{"GET": true, "HEAD": true, "PUT": true, "DELETE": true, "POST": false, "PATCH": false} {
			t.Run(form+" "+method, func(t *testing.T) {
				t.Parallel()
				var came atomic.Int32
				var second atomic.Value
				socket := serveRaw(t, func(n int, head string, c *net.UnixConn) {
					came.Add(1)
					if n > 1 {
						second.Store(head)
						io.WriteString(c, okAnswer)
					}
				})
				client := serveNginx(t, form, []Route{{Build: "a", Location: "/api", Socket: socket}})
				r, _ := http.NewRequest(method, "http://x/api/y?q=1", strings.NewReader("body"))
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if again {
					head, _ := second.Load().(string)
					if resp.StatusCode != 200 || came.Load() != 2 || !strings.HasPrefix(head, method+" /y?q=1 HTTP/1.0\r\n") {
						t.Errorf("%d, came %d times, the second as %q", resp.StatusCode, came.Load(), head)
					}
				} else if resp.StatusCode != 502 || came.Load() != 1 {
					t.Errorf("%d, came %d times", resp.StatusCode, came.Load())
				}
			})
		}
	}
}

func TestNginxGivesUpAfterTheSecondBreak(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"default", "upstreams"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			var came atomic.Int32
			socket := serveRaw(t, func(int, string, *net.UnixConn) { came.Add(1) })
			client := serveNginx(t, form, []Route{{Build: "a", Location: "/api", Socket: socket}})
			for want := int32(2); want <= 6; want += 2 { // never treated as dead
				resp, err := client.Get("http://x/api/y")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != 502 || came.Load() != want {
					t.Errorf("%d, came %d times, want %d", resp.StatusCode, came.Load(), want)
				}
			}
		})
	}
}

// A 502 or 503 sent by the build itself is a response, not a broken connection.
func TestNginxPassesTheBuildsOwnErrorsOn(t *testing.T) {
	t.Parallel()
	var came atomic.Int32
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) { came.Add(1); w.WriteHeader(502) })
	client := serveNginx(t, "default", []Route{{Build: "a", Location: "/api", Socket: socket}})
	resp, err := client.Get("http://x/api/y")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || came.Load() != 1 {
		t.Errorf("%d, came %d times", resp.StatusCode, came.Load())
	}
}
