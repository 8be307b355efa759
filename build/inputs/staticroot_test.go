package inputs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestStaticRootIsKnownWhereTheSettingsWriteItOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ own, common, want string }{
		"a text":            {"STATIC_ROOT = '/srv/static/'  # Nginx serves it\n", "", "/srv/static"},
		"a path":            {"from pathlib import Path\nSTATIC_ROOT=Path(\"/srv/static\")\n", "", "/srv/static"},
		"beside a comment":  {"# STATIC_ROOT is Nginx's\nSTATIC_ROOT = \"/srv/static\"\n", "", "/srv/static"},
		"by import":         {"from .common import *\n", "STATIC_ROOT = '/srv/static'\n", "/srv/static"},
		"over an import":    {"from .common import *\nSTATIC_ROOT = '/srv/one'\n", "STATIC_ROOT = '/srv/static'\n", "/srv/one"},
		"not at all":        {"A = 1\n", "STATIC_ROOT = '/srv/static'\n", ""},
		"only some names":   {"from .common import A\n", "A = 1\nSTATIC_ROOT = '/srv/static'\n", ""},
		"put together":      {"STATIC_ROOT = '/srv/' + NAME\n", "", ""},
		"joined":            {"STATIC_ROOT = os.path.join('/srv', 'static')\n", "", ""},
		"of the name":       {"STATIC_ROOT = f'/srv/{NAME}'\n", "", ""},
		"in the release":    {"STATIC_ROOT = 'static'\n", "", ""},
		"sometimes":         {"if A:\n    STATIC_ROOT = '/srv/static'\n", "", ""},
		"twice":             {"STATIC_ROOT = '/srv/static'\nSTATIC_ROOT += NAME\n", "", ""},
		"with a condition":  {"STATIC_ROOT = '/srv/static' if A else '/srv/other'\n", "", ""},
		"in several files":  {"from .common import *\nfrom .more import *\n", "STATIC_ROOT = '/srv/static'\n", ""},
		"imported, changed": {"from .common import *\nSTATIC_ROOT = STATIC_ROOT + 'x'\n", "STATIC_ROOT = '/srv/static'\n", ""},
	} {
		dir := t.TempDir()
		b := config.Build{Name: "one", Source: dir, AppDir: "API", SettingsDir: "settings", CollectStatic: true}
		for file, text := range map[string]string{"deploy_one.py": c.own, "common.py": c.common, "more.py": "STATIC_ROOT = '/srv/more'\n"} {
			path := filepath.Join(dir, "API", "settings", file)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, []byte(text), 0o644))
		}
		if got := WrittenStaticRoot(b); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
