package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What people read of a failed step names the mistake and its cause, once, and the file in the
// source.
func TestRealReasonOfAFailedStepNamesTheMistakeInTheSource(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files      map[string]string // below app_dir
		operations string
		settings   string
		file       string   // that is to be named, below app_dir
		wants      []string // the last is what is named last
	}{
		"a syntax error in an application's module": {
			files: map[string]string{"things/models.py": "x = 1\ndef broken(:\n"}, file: "things/models.py",
			wants: []string{"line 2", "SyntaxError"},
		},
		"a setting without its variable": {
			settings: "from django.core.exceptions import ImproperlyConfigured\ntry:\n    os.environ['KEY']\nexcept KeyError:\n    raise ImproperlyConfigured('set KEY')\n",
			file:     "api_settings/settings/deploy_one.py", wants: []string{"ImproperlyConfigured: set KEY", "caused by KeyError: 'KEY'"},
		},
		"a cause that is named": {
			settings: "try:\n    open('/nowhere/key')\nexcept OSError as e:\n    raise RuntimeError('no key') from e\n",
			file:     "api_settings/settings/deploy_one.py", wants: []string{"RuntimeError: no key", "caused by FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/key'"},
		},
		"a cause that is hidden": {
			settings: "try:\n    {}['KEY']\nexcept KeyError:\n    raise RuntimeError('no key') from None\n",
			file:     "api_settings/settings/deploy_one.py", wants: []string{"RuntimeError: no key"},
		},
		"a message of several lines": {
			settings: "try:\n    {}['KEY']\nexcept KeyError as e:\n    raise RuntimeError('no key:\\nset KEY') from e\n",
			file:     "api_settings/settings/deploy_one.py", wants: []string{"RuntimeError: no key:", "set KEY", "caused by KeyError: 'KEY'"},
		},
		"a helper of a migration": {
			files:      map[string]string{"things/helper.py": "def fill(apps, editor):\n    raise ValueError('half of it')\n"},
			operations: `migrations.RunPython(lambda *a: __import__("things.helper").helper.fill(*a))`,
			file:       "things/helper.py", wants: []string{"ValueError: half of it"},
		},
		"a module that is not there": {
			files: map[string]string{"things/models.py": "import nowhere\n"}, file: "things/models.py",
			wants: []string{"ModuleNotFoundError: No module named 'nowhere'"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDjango(t, c.operations, c.settings)
			for path, text := range c.files {
				must(t, os.WriteFile(filepath.Join(p.AppPath(), path), []byte(text), 0o644))
			}
			step := p.failed(t)
			contains(t, step.Error(), append(c.wants, `"`+filepath.Join(p.AppPath(), c.file)+`"`)...)
			last := c.wants[len(c.wants)-1]
			if !strings.Contains(step.Tail[len(step.Tail)-1], last) || strings.Count(step.Error(), last) != 1 {
				t.Errorf("not last, or not once: %v", step)
			}
			if strings.Contains(step.Error(), tempPrefix) {
				t.Errorf("it names a temporary folder: %v", step)
			}
		})
	}
}
