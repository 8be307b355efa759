package cli

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

func TestDoctorSaysWhatFailsByItsExitCode(t *testing.T) {
	t.Parallel()
	d := newSite(t) // its interpreter prints nothing
	out, errOut, code := d.run("doctor", "dev*")
	if code != exitFailed || errOut != "" || !strings.Contains(out, "\nbuild development\n  fail  interpreter") || !strings.HasPrefix(out, "this machine\n") {
		t.Errorf("exit %d, %q, %s", code, errOut, out)
	}
	out, _, code = d.run("doctor", "--json")
	var found []map[string]string
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitFailed || len(found) == 0 {
		t.Fatalf("exit %d, %v, %s", code, err, out)
	}
	for _, f := range found {
		for _, key := range []string{"level", "build", "check", "message", "fix"} {
			if _, ok := f[key]; !ok {
				t.Errorf("a finding has no %s: %v", key, f)
			}
		}
	}
	if _, errOut, code := d.run("doctor", "developmnt"); code != exitFailed || !strings.Contains(errOut, `did you mean "development"?`) {
		t.Errorf("exit %d, %q", code, errOut)
	}
	d.write("builds.toml", "root = 1\n")
	if _, errOut, code := d.run("doctor"); code != exitFailed || !strings.Contains(errOut, "builds.toml:1:8: ") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

func TestCheckSaysAllMistakesAtOnceAndWarnsOfTheRest(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d.write("builds.toml", d.read("builds.toml")+"[supervisor]\nfront = \""+ln.Addr().String()+"\"\n")
	out, errOut, code := d.run("check")
	if code != 0 || !strings.HasSuffix(out, ": 1 build, no errors\n") || !strings.HasPrefix(unlessAsRoot(errOut), "warning: "+d.file+":11:9: ") {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
	// While the supervisor that serves there is running, it is no stranger's.
	stop := d.serve(&fake{front: ln.Addr().String()})
	if _, errOut, code := d.run("check"); code != 0 || unlessAsRoot(errOut) != "" {
		t.Errorf("exit %d, %q", code, errOut)
	}
	stop()
	d.write("src/requirements.txt", "Django\n")
	d.write("builds.toml", d.read("builds.toml")+"log_level = \"loud\"\nfront = \"x\"\n")
	out, errOut, code = d.run("check")
	if lines := strings.Split(out, "\n"); code != exitFailed || len(lines) != 4 || !strings.Contains(out, "gunicorn is not in") ||
		!strings.Contains(out, "already been defined") || !strings.Contains(out, "want one of") {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
}
