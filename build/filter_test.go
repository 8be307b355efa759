package build

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoSecretIsLeftInALine(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"Collecting dep@ git+https://deploy:SECRET@host/repo.git (from demo)",
		"  Cloning git+HTTPS://deploy:SECRET@host/repo.git to /tmp/x",
		"fatal: unable to access 'HtTpS://SECRET@host/'",
		"https://SECRET:x-oauth-basic@github.com/a/b",
		"https://SECRET:@host/ is not there",
		"Looking in indexes: https://u:SECRET@pypi.example/simple, http://u:SECRET@two/",
		"ssh://git:SECRET@host/x", "postgres://app:SECRET@db:5432/x", "redis://:SECRET@cache/0", "s3+http2.x://a:SECRET@b",
		"https://u:p@SECRET@host/",
		"GET https://host/simple/?access_token=SECRET HTTP/1.1", "https://host/a.whl?sig=SECRET&x=1", "https://h/?a=b&X-Amz-Signature=SECRET",
		"https://host/?PRIVATE_TOKEN=SECRET", "https://host/#id_token=SECRET",
		"Authorization: Basic SECRET", "{'Authorization': 'Bearer SECRET'}", "authorization: SECRET", "//npm.example/:_authToken=SECRET",
		"invalid dsn: host=db password='SECRET' user=x", "password=SECRET;",
		"used ghp_SECRETSECRETSECRETSECRET12 for it", "glpat-SECRETSECRETSECRET",
		"DB_PASSWORD=SECRET", "env AWS_ACCESS_KEY=SECRET PATH=/bin", "GITHUB_TOKEN=SECRET",
		`{"password": "SECRET"}`, `"db_password":"a\"SECRET"`, "{'NAME': 'x', 'PASSWORD': 'SECRET', 'HOST': 'h'}", "{'api_key': b'SECRET'}",
		"run --token SECRET x", "tool --password SECRET", "X-Api-Key: SECRET", "PRIVATE-TOKEN: SECRET", "Set-Cookie: sessionid=SECRET; Path=/", "Cookie: a=SECRET",
		"CREATE USER m IDENTIFIED BY 'SECRET'",
		"the value SECRET is known",
	} {
		known := []string(nil)
		if strings.Contains(line, "known") {
			known = []string{"SECRET"}
		}
		if got := conceal(line, known); strings.Contains(got, "SECRET") || !strings.Contains(got, hidden) {
			t.Errorf("%s\nbecame\n%s", line, got)
		}
	}
}

func TestLineWithoutASecretStaysAsItIs(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"git+ssh://git@host/repo.git", "ssh://deploy@host/x", "git://git@host/x", "mail to a@b.example", "see https://docs.example/a/@b?page=2#top",
		"Successfully installed demo-1.0", `  File "/a/b.py", line 3, in <module>`, "key = token.get(name)", "KeyError: 'key'",
		"Applying auth.0001_initial... OK", "basic idea", "password: This password is too short.", "usage: tool --password --token", "{'key': 'value'}",
		"settings.SECRET_KEY = x", "KEY=x", "The cookie is set", "token=None, key=lambda x: x",
	} {
		if got := conceal(line, nil); got != line {
			t.Errorf("%s\nbecame\n%s", line, got)
		}
	}
}

// In whatever pieces it comes, and however its lines end.
func TestNoPieceOfASecretIsLeftInAStream(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, text := range []string{
		strings.Repeat("before\nhttps://deploy:SECRET@host/x after\r\nSECRET again\r50%\n", 20) + "https://u:SECRET@no-end",
		strings.Repeat("word https://deploy:SECRET@host/x ", 4000),
		strings.Repeat("x", 3*mostLine) + "SECRET" + strings.Repeat("y", mostLine) + " https://u:SECRET@host/",
		strings.Repeat(strings.Repeat("z", 40000)+" has SECRET words ", 4),
	} {
		f := filter{known: []string{"has SECRET words", "SECRET"}}
		var got strings.Builder
		for rest := text; rest != ""; {
			n := min(len(rest), 1+r.IntN(1<<(8+r.IntN(9))))
			got.Write(f.take([]byte(rest[:n])))
			rest = rest[n:]
			if len(f.held) > 3*mostLine {
				t.Fatalf("holds %d bytes", len(f.held))
			}
		}
		got.Write(f.rest())
		if at := strings.Index(got.String(), "SECRET"); at >= 0 {
			t.Errorf("…%s", got.String()[max(0, at-40):at+6])
		}
		if !strings.Contains(got.String(), hidden) {
			t.Errorf("nothing is said of %.60s", text)
		}
	}
}

func TestPasswordOfAnAddressIsHiddenWithoutItToo(t *testing.T) {
	t.Parallel()
	var f filter
	got := string(f.take([]byte("https://u:s%40cret77@host/\n"))) + string(f.take([]byte("login with s@cret77 or s%40cret77 failed\n")))
	if strings.Contains(got, "cret77") {
		t.Error(got)
	}
}

func TestSecretVariablesAreKnownByTheirNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"DB_PASSWORD": true, "MYSQL_PWD": true, "SECRET_KEY": true, "API_KEY": true, "GITHUB_TOKEN": true, "SENTRY_DSN": true, "PASS": true,
		"aws_secret_access_key": true, "PWD": false, "KEYBOARD": false, "SSL_KEY_FILE": false, "TOKEN_URL": false, "AUTHOR": false, "PATH": false,
	} {
		if got := namesSecret(name, "a long value"); got != want {
			t.Errorf("%s is secret: %v", name, got)
		}
	}
	if namesSecret("USE_TOKEN", "1") {
		t.Error("a switch is a secret")
	}
}

// nowhere asserts that no file below a folder holds one of the texts.
func nowhere(t *testing.T, dir string, texts ...string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it has gone meanwhile
		}
		held, _ := os.ReadFile(path) // it may have gone
		for _, text := range texts {
			if strings.Contains(string(held), text) {
				t.Errorf("%s holds %s", path, text)
			}
		}
		return nil
	}))
}

// printsSecrets has them in no file.
const printsSecrets = `
env, url = os.environ["DB_PASSWORD"], "-".join(["url", "secret"])
print("cloning git+HTTPS://deploy:" + url + "@host/x", flush=True)
os.write(2, b"password is " + env.encode() + b"\nno end of line: " + env[:5].encode())
time.sleep(0.1)
os.write(1, env[5:].encode())
`

func TestSecretsOfAStepNeverReachADisk(t *testing.T) {
	t.Parallel()
	p := newProject(t, printsSecrets+"\nif on('migrate'):\n  did('waits')\n  while not os.path.exists(os.environ['MEDCTRL_DATA'] + '/go'): time.sleep(0.01)\n  raise ValueError('https://x:' + url + '@host/')\n")
	p.Env = map[string]string{"DB_PASSWORD": "env-secret"}
	b := p.start(t)
	until(t, "the migration", func() bool { return exists(filepath.Join(p.data(), "did")) && strings.Contains(p.did(t), "waits") })
	until(t, "its output", func() bool {
		log, _ := readLog(p.root, p.Name) // there is one
		return strings.Count(string(log), "password is ****") == 2
	})
	nowhere(t, p.root, "url-secret", "env-secret")
	must(t, os.WriteFile(filepath.Join(p.data(), "go"), nil, 0o644))
	err := b.wait()
	if err == nil || strings.Contains(err.Error(), "-secret") {
		t.Error(err)
	}
	nowhere(t, p.root, "url-secret", "env-secret")
}

func TestSecretsOfAKilledSupervisorAreOnNoDisk(t *testing.T) {
	t.Parallel()
	p := newProject(t, printsSecrets+"\nif on('migrate'):\n  did('waits')\n  while not os.path.exists(os.environ['MEDCTRL_DATA'] + '/go'): time.sleep(0.01)\n"+
		"  for i in range(5000): print('https://x:' + url + '@host/', i)\n")
	p.Env = map[string]string{"DB_PASSWORD": "env-secret"}
	p.compiles(t)
	c := p.startChild(t, "")
	until(t, "the migration", func() bool { return exists(filepath.Join(p.data(), "did")) && strings.Contains(p.did(t), "waits") })
	c.kill(t)
	must(t, os.WriteFile(filepath.Join(p.data(), "go"), nil, 0o644))
	until(t, "its end, unhindered", func() bool { return strings.Contains(p.did(t), "migrate --noinput") })
	nowhere(t, p.root, "url-secret", "env-secret")
	until(t, "nothing of it", func() bool {
		marks, err := p.m.Runner.Running(filepath.Join(p.root, p.Name, "releases")+"/", os.Geteuid())
		return err == nil && len(marks) == 0
	})
	p.recovers(t)
}

func TestOutputThatComesTooFastIsBoundedAndSaid(t *testing.T) {
	t.Parallel()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	defer log.Close()
	o, err := newOutput(log, []string{"SECRET"})
	must(t, err)
	_, err = o.file.WriteString("first SECRET\n")
	must(t, err)
	o.drain(false)
	must(t, o.file.Truncate(4<<40)) // as a step may
	_, err = o.file.WriteString("a piece of a line SECRET\nlast SECRET\n")
	must(t, err)
	must(t, o.finish())
	got := read(t, log.Name())
	if want := "first ****\n[4194303 MiB of output left out here: more than can be kept]\nlast ****\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOutputThatComesWhileItIsLookedAtIsWhole(t *testing.T) {
	t.Parallel()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	defer log.Close()
	o, err := newOutput(log, nil)
	must(t, err)
	o.mu.Lock()
	_, err = o.file.WriteString("ERRORS:\n") // after a look that saw nothing yet
	o.release()
	o.mu.Unlock()
	must(t, err)
	must(t, o.finish())
	if got := read(t, log.Name()); got != "ERRORS:\n" {
		t.Errorf("%q", got)
	}
}

func TestOutputThatIsCutOffGoesOn(t *testing.T) {
	t.Parallel()
	p := newProject(t, "print('before', flush=True)\nopen('/dev/stdout', 'w').close()\nprint('after', flush=True)\n")
	rel := p.made(t)
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "after")
}
