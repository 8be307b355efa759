package inputs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestImportsThatLeadOutOfTheApplicationAreNotFollowed(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret+".py", []byte("A = 1\n"), 0o600))
	must(t, os.Symlink(filepath.Dir(secret), filepath.Join(p.Source, settings, "out")))
	p.write(t, settings+"deploy_one.py", "from .....a import b\nfrom .out import secret\ninclude('../../../*.py', '"+secret+".py')\nimport import from . from\n")
	if got := slices.Sorted(maps.Keys(readSettings(p.AppPath(), p.Build).texts)); !slices.Equal(got, []string{"api_settings/settings/deploy_one.py"}) {
		t.Errorf("read %q", got)
	}
}

// A settings file is what anybody wrote: whatever it is, it is read to its end.
func FuzzSettingsAreReadWhateverTheyHold(f *testing.F) {
	for _, text := range []string{"from .a import (b, c as d)\n", "import a.b as c, d", "'''", "from . import", "r'\\", "import a,", "from .. import *"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &settingsClosure{texts: map[string]string{"x.py": text}, missing: map[string]bool{}, sure: map[string]bool{}}
		root, err := os.OpenRoot(t.TempDir())
		must(t, err)
		defer root.Close()
		c.app = root
		c.follow("x.py")
	})
}
