package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// asLocal is an attempt by Python code of another local user.
func asLocal(what string, code func(*arena) string, refused string) attempt {
	return attempt{by: local, what: what, refused: refused, try: func(a *arena) string { return a.py(code(a)) }}
}

func attemptsOfLocalUsers() []attempt {
	in := func(format string, parts ...string) func(*arena) string {
		return func(a *arena) string {
			return fmt.Sprintf(format, filepath.Join(append([]string{a.Root}, parts...)...))
		}
	}
	const connects = "import socket; s = socket.socket(socket.AF_UNIX); s.connect(%q); print('connected')"
	const writes = "open(%q, 'w').write('x'); print('written')"
	all := []attempt{
		asLocal("reads anything below a build's folder", in(`
import os
seen = []
for folder, folders, files in os.walk(%q):
    for name in files:
        path = os.path.join(folder, name)
        try:
            open(path).read(1); seen.append(path)
        except OSError: pass
print("readable:", seen)`), `^readable: \[\]`),
		asLocal("lists the folder of a build", in("import os; print(os.listdir(%q))", "two"), forbidden),
		asLocal("connects to the socket of a build as a stranger", in(connects, "one/gunicorn.sock"), forbidden),
		asLocal("connects to the control socket as a stranger", in(connects, ".supervisor/control.sock"), forbidden),
		asLocal("takes the lock of the root", in("import fcntl; fcntl.flock(open(%q), fcntl.LOCK_EX); print('locked')", ".supervisor/lock"), forbidden),
		asLocal("writes into the root", in(writes, "attack"), forbidden),
		asLocal("writes into the folder of a build", in(writes, "one/attack"), forbidden),
		asLocal("writes into the data of a build", in(writes, "one/data/attack"), forbidden),
		asLocal("removes the socket of a build", in("import os; os.remove(%q); print('removed')", "one/gunicorn.sock"), forbidden),
		asLocal("changes builds.toml", func(a *arena) string { return fmt.Sprintf("open(%q, 'a').write('#'); print('written')", a.File) }, forbidden),
		asLocal("reads the environment file of a build", func(a *arena) string { return reads(filepath.Join(a.Dir, "two.env")) }, forbidden),
		asLocal("reads the environment of a build's process", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/environ", a.pid("two"))) }, forbidden),
		asLocal("reads the memory of the supervisor", func(a *arena) string { return reads(fmt.Sprintf("/proc/%d/mem", a.Pid())) }, forbidden),
		asLocal("ends the process of a build", func(a *arena) string { return fmt.Sprintf("import os; os.kill(%d, 15); print('killed')", a.pid("two")) }, forbidden),
		asLocal("takes a share of the front's address", func(a *arena) string {
			host, port, _ := strings.Cut(a.Front, ":")
			return fmt.Sprintf("import socket; s = socket.socket(); s.setsockopt(1, 15, 1); s.bind((%q, %s)); s.listen(); print('bound')", host, port)
		}, `OSError: \[Errno 98\]`),
		asLocal("reads a password in a command line", func(a *arena) string {
			return fmt.Sprintf(`
import glob
secret = %q[::-1]  # it is in our own command line
print("seen:", [p for p in glob.glob("/proc/[0-9]*/cmdline") if secret in open(p).read()])`, reversed(a.secret))
		}, `^seen: \[\]`),
	}
	return append(append(all, attemptsByMarks()...), attemptsAtTheDashboard()...)
}

func reversed(text string) string {
	b := []byte(text)
	slices.Reverse(b)
	return string(b)
}

// attemptsByMarks have a process of a stranger claim to be one of the supervisor's.
func attemptsByMarks() []attempt {
	lingering := map[string]*exec.Cmd{}
	claims := func(what string, key string, value func(a *arena, root string) string) attempt {
		return attempt{by: local, what: what, refused: `^goes on, its parent is ` + strconv.Itoa(os.Getpid()) + `, `,
			try: func(a *arena) string {
				root, _, _ := strings.Cut(strings.TrimPrefix(a.app(`import os; print(os.environ["MEDCTRL_GENERATION"])`), "\n"), "/")
				lingering[what] = a.linger(key + "=" + value(a, root))
				return "begun"
			},
			after: func(a *arena) string {
				said := alive(lingering[what])
				for _, name := range []string{"one", "two"} {
					if a.pid(name) == lingering[what].Process.Pid {
						return "is the process of build " + name
					}
				}
				if at := numbers(a, "two"); at != "nothing" {
					return at
				}
				return said + ", not adopted"
			}}
	}
	all := []attempt{
		claims("claims the next generation of a build", "MEDCTRL_GENERATION", func(_ *arena, root string) string { return root + "/two/99" }),
		claims("claims a generation beyond what is counted", "MEDCTRL_GENERATION", func(_ *arena, root string) string { return root + "/two/9223372036854775807" }),
		claims("claims a number that overflows", "MEDCTRL_GENERATION", func(_ *arena, root string) string { return root + "/two/18446744073709551616" }),
		claims("claims the first generation of a build", "MEDCTRL_GENERATION", func(_ *arena, root string) string { return root + "/two/1" }),
		claims("claims a command that was run in a build", "MEDCTRL_GENERATION", func(_ *arena, root string) string { return root + "/two/run.aaaaaaaaaaaa" }),
		claims("claims a run of a schedule", "MEDCTRL_GENERATION", func(_ *arena, root string) string { return root + "/two/schedule.tick.aaaaaaaaaaaa" }),
		claims("claims a step of a build", "MEDCTRL_STEP", func(_ *arena, root string) string { return root + "/two/install" }),
	}
	outside := claims("claims a generation outside of the root", "MEDCTRL_GENERATION", func(a *arena, root string) string {
		if err := os.WriteFile(filepath.Join(a.Dir, "gunicorn.sock"), []byte("mine"), 0o644); err != nil {
			a.t.Fatal(err)
		}
		return root + "/../5"
	})
	judged := outside.after
	outside.after = func(a *arena) string {
		if readAll(filepath.Join(a.Dir, "gunicorn.sock")) != "mine" {
			return "a file outside of the root was removed"
		}
		return judged(a)
	}
	return append(all, outside)
}

// attemptsAtTheDashboard come over the dashboard's address, which every local user can reach.
func attemptsAtTheDashboard() []attempt {
	asks := func(what, method, path string, header http.Header, refused string) attempt {
		return attempt{by: local, what: what, refused: refused, try: func(a *arena) string {
			req, err := http.NewRequest(method, "http://"+a.Dashboard+path, strings.NewReader("{}"))
			if err != nil {
				return err.Error()
			}
			for name, values := range header {
				req.Header[name] = values
			}
			if host := header.Get("Host"); host != "" {
				req.Host = host
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err.Error()
			}
			resp.Body.Close()
			return resp.Status
		}}
	}
	bearer := func(token string) http.Header {
		return http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	}
	evil := bearer(writeToken)
	evil.Set("Origin", "http://evil.example")
	return []attempt{
		asks("reads a log without a token", "GET", "/v1/logs/two", nil, `^40[13]`),
		asks("reads a log with a wrong token", "GET", "/v1/logs/two", bearer("wrong-0123456789abcdef"), `^40[13]`),
		asks("acts on a build without a token", "POST", "/v1/builds/two/stop", http.Header{"Content-Type": {"application/json"}}, `^40[13]`),
		asks("acts on a build with the token to read", "POST", "/v1/builds/two/stop", bearer(readToken), `^40[13]`),
		asks("acts on a build from another origin", "POST", "/v1/builds/two/stop", evil, `^403`),
		asks("reads the dashboard by another name", "GET", "/v1/status", http.Header{"Host": {"evil.example"}}, `^4(03|21)`),
		asks("upgrades the supervisor over the dashboard", "POST", "/v1/upgrade", bearer(writeToken), `^40[34]`),
	}
}
