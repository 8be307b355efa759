package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

const distribution = "/usr/bin/python3" // the one that sees the distribution's packages

// example is a build of the example backend, on a source of its own.
func example(t testing.TB) config.Build {
	t.Helper()
	source := filepath.Join(t.TempDir(), "source")
	if err := os.CopyFS(source, os.DirFS("../examples/medctrl")); err != nil {
		t.Fatal(err)
	}
	return config.Build{
		Name: "development", Source: source, AppDir: "API", Requirements: "requirements.txt",
		SettingsDir: "api_settings/settings", Python: distribution, SystemSitePackages: true,
		Migrate: true, Check: true, Umask: 0o027, KeepReleases: 3, StepTimeout: time.Minute,
	}
}

// BenchmarkSettingsEdit is what stands between an edit of the settings and the start of the
// candidate, environment and application unchanged.
func BenchmarkSettingsEdit(b *testing.B) {
	needDjango(b)
	entry, root := example(b), filepath.Join(b.TempDir(), "root")
	m := New(Options{Runner: newRunner(b), Environ: os.Environ(), Parallel: 1})
	if _, _, err := m.Make(context.Background(), Request{Root: root, Build: entry}); err != nil {
		b.Fatal(err)
	}
	took := map[string]time.Duration{}
	for n := 0; b.Loop(); n++ {
		edit(b, entry.SettingsFile(), fmt.Sprintf("\nBANNER = 'edit %d'\n", n))
		rel, fresh, err := m.Make(context.Background(), Request{Root: root, Build: entry})
		if err != nil || !fresh {
			b.Fatal(fresh, err)
		}
		for _, s := range rel.Steps {
			took[s.Name] += s.Took
		}
		if err := Prune(root, entry); err != nil {
			b.Fatal(err)
		}
	}
	for name, d := range took {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), name+"-ms")
	}
}
