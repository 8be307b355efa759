package world

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// A hook is given by the build's own entry, and has no more than its server.
func TestHookOfABuildWithASandboxIsInIt(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Here(); err != nil {
		t.Skip(err)
	}
	tt, entry := hooked(t)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, build.MakeFolder(tt.root.Build("one").Data(), 0o750, -1, -1))
	entry.Sandbox.Enabled, entry.Source = true, filepath.Dir(secret)
	const script = `cat "$SECRET"; touch "$TMPDIR/x" && echo its own`
	for _, in := range []bool{true, false} {
		entry.Sandbox.Enabled = in
		hook := hookOf(t, entry, script)
		hook.Env, hook.Dir = append(hook.Env, "SECRET="+secret), "/"
		said, err := tt.Run(t.Context(), hook)
		if err != nil || !strings.Contains(said, "its own") || strings.Contains(said, "secretits own") == in {
			t.Errorf("in a sandbox: %v; it says %q, %v", in, said, err)
		}
	}
}

// A folder for temporary files is opened where it is the build's own. One elsewhere is what the entry
// says that may be written, or not.
func TestTemporaryFilesInASandboxAreTheBuildsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, missing := filepath.Join(dir, "made", "run"), filepath.Join(dir, "missing", "run")
	must(t, os.Mkdir(filepath.Dir(made), 0o755))
	for _, c := range []struct {
		run, tmpdir string // "": the environment has none
		want, env   string
	}{
		{"", "", "", ""},
		{made, made + "/7", made + "/7", made + "/7"},
		{made, "/tmp", "", "/tmp"},
		{made, made, "", made},
		{made, made + "/../../other", "", made + "/../../other"},
		{made, "", made + "/tmp", made + "/tmp"},
		{missing, "", "", ""}, // nothing was built yet
	} {
		spec := process.Spec{Env: []string{"A=b"}}
		if c.tmpdir != "" {
			spec.Env = append(spec.Env, "TMPDIR="+c.tmpdir)
		}
		got, err := temporary(&spec, &build.Box{Run: c.run, As: config.Identity{UID: -1, GID: -1}})
		in := slices.Contains(spec.Env, "TMPDIR="+c.env)
		if err != nil || got != c.want || in != (c.env != "") {
			t.Errorf("%+v: %q, %v, environment %q", c, got, err, spec.Env)
		}
	}
	if info, err := os.Stat(made + "/tmp"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may look at them: %v, %v", info, err)
	}
	must(t, os.RemoveAll(made))
	must(t, os.WriteFile(made, nil, 0o600))
	if _, err := temporary(&process.Spec{}, &build.Box{Run: made, As: config.Identity{UID: -1, GID: -1}}); err == nil {
		t.Error("a file in the place of the folder is no error")
	}
}
