package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const exportImage = "registry.example/medctrl:r1"

func TestExportWritesABaseAndReplacesNothingElse(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	base := filepath.Join(d.dir, "k8s")
	export := func(args ...string) (out, errOut string, code int) {
		return d.run(append([]string{"export", "kubernetes", "--image", exportImage, "--out", base}, args...)...)
	}
	out, errOut, code := export()
	var want []string
	for _, name := range []string{"kustomization.yaml", "namespace.yaml", "development.yaml", "development.toml", "Containerfile"} {
		want = append(want, filepath.Join(base, name))
	}
	if code != exitDone || !slices.Equal(strings.Fields(out), want) || !strings.Contains(errOut, "development: it has no Secret: ") {
		t.Fatalf("exit %d, %q %q", code, out, errOut)
	}
	if again, _, code := export("--replicas", "5"); code != exitDone || again != out {
		t.Errorf("once more: exit %d, %q", code, again)
	}
	if text, err := os.ReadFile(want[2]); err != nil || !strings.Contains(string(text), "replicas: 5\n") {
		t.Errorf("%v, %s", err, text)
	}
	for name, spoil := range map[string]func(path string) error{
		"another's file": func(path string) error { return os.WriteFile(path, []byte("apiVersion: v1\n"), 0o644) },
		"an empty file":  func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"a link":         func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		if err := os.Remove(want[1]); err != nil {
			t.Fatal(err)
		}
		if err := spoil(want[1]); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(want[1])
		if err != nil {
			t.Fatal(err)
		}
		out, errOut, code := export("--replicas", "7")
		if code != exitFailed || out != "" || !strings.Contains(errOut, "nothing was written: there are files that are not from here: "+want[1]) || !strings.Contains(errOut, "--force") {
			t.Errorf("%s: exit %d, %q %q", name, code, out, errOut)
		}
		if after, err := os.ReadFile(want[1]); err != nil || string(after) != string(before) {
			t.Errorf("%s was replaced: %v", name, err)
		}
		if text, err := os.ReadFile(want[2]); err != nil || strings.Contains(string(text), "replicas: 7\n") {
			t.Errorf("%s: the others were written: %v", name, err)
		}
	}
	if _, errOut, code := export("--force"); code != exitDone {
		t.Errorf("forced: exit %d, %q", code, errOut)
	}
	if info, err := os.Lstat(want[1]); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
	left, err := filepath.Glob(filepath.Join(base, "*.new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestExportPrintsManifestsAContainerfileOrVariables(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	text, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	d.write("env", "export DB_PASSWORD=\"hunter2 hunter2\"\n")
	d.write("builds.toml", string(text)+"env_file = \"env\"\npass_env = [\"NOWHERE_SET\"]\n")
	out, errOut, code := d.run("export", "kubernetes", "--image", exportImage, "development")
	if code != exitDone || !strings.HasPrefix(out, "# Written by `medctrl-supervisor export kubernetes`") || !strings.Contains(out, "\nkind: Deployment\n") || strings.Contains(out+errOut, "hunter2") {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if !strings.Contains(out, "export env development | kubectl -n medctrl create secret generic development-env --from-env-file=/dev/stdin --dry-run=client -o yaml | kubectl apply -f -\n#     (DB_PASSWORD, NOWHERE_SET)\n") {
		t.Errorf("it does not say how the Secret is made:\n%s", out[:2000])
	}
	if out, _, code := d.run("export", "kubernetes", "--image", exportImage, "--containerfile"); code != exitDone || !strings.Contains(out, "\nFROM ${SUPERVISOR} AS supervisor\n") || strings.Contains(out, "kind:") {
		t.Errorf("exit %d, %q", code, out)
	}
	if out, errOut, code := d.run("export", "env", "development"); code != exitFailed || out != "" || !strings.Contains(errOut, "pass_env are not in this environment: NOWHERE_SET") {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	d.write("builds.toml", string(text)+"env_file = \"env\"\n")
	if out, errOut, code := d.run("export", "env", "development"); code != exitDone || out != "DB_PASSWORD=hunter2 hunter2\n" || errOut != "" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	for _, args := range [][]string{{"export", "env", "developmnt"}, {"export", "kubernetes", "--image", exportImage, "developmnt"}} {
		if out, errOut, code := d.run(args...); code != exitFailed || out != "" || !strings.Contains(errOut, `did you mean "development"?`) {
			t.Errorf("%v: exit %d, %q %q", args, code, out, errOut)
		}
	}
}

func TestWithoutAReleaseNothingRunsInIt(t *testing.T) {
	t.Parallel()
	d := newSite(t)
	dir := filepath.Join(d.dir, "image")
	if out, errOut, code := d.run("run", "--prebuilt", dir, "development", "true"); code != exitFailed || out != "" ||
		!strings.Contains(errOut, "find the release of development, which `medctrl-supervisor build development --root "+dir+"` makes: ") {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	text, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	d.write("builds.toml", string(text)+"sandbox.enabled = true\n")
	if _, errOut, code := d.run("run", "--prebuilt", dir, "development", "true"); code != exitFailed || !strings.Contains(errOut, "has a sandbox, which only a supervisor makes") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
