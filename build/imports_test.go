package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// settings is the folder of the settings files in a project.
const settings = "API/api_settings/settings/"

func TestEverythingThatSettingsImportIsWatchedAndCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, names string
		between     map[string]string // files on the way
	}{
		"another build's settings":      {file: settings + "deploy_two.py", names: "from .deploy_two import *\n"},
		"shared settings":               {file: settings + "common.py", names: "from .common import (\n    A,  # a comment)\n    B as C,\n)\n"},
		"by two on the way":             {file: settings + "deploy_development.py", names: "from .deploy_testing import *\n", between: map[string]string{settings + "deploy_testing.py": "from api_settings.settings.deploy_development import *\n"}},
		"an absolute name":              {file: settings + "common.py", names: "import os, api_settings.settings.common as c\n"},
		"a module of a package":         {file: settings + "parts/logging.py", names: "from .parts import logging\n", between: map[string]string{settings + "parts/__init__.py": ""}},
		"a package without __init__":    {file: settings + "parts/logging.py", names: "from .parts import logging\n"},
		"a package's __init__":          {file: settings + "parts/__init__.py", names: "from .parts import A\n"},
		"the packages it is in":         {file: "API/api_settings/base.py", names: "", between: map[string]string{"API/api_settings/__init__.py": "from . import base\n"}},
		"the package above":             {file: "API/api_settings/base.py", names: "from ..base import A\n"},
		"the application":               {file: "API/shared_settings.py", names: "if True: from shared_settings import *\n"},
		"what comes later":              {file: settings + "local.py", names: "try:\n    from .local import *\nexcept ImportError: pass\n"},
		"a continued line":              {file: settings + "common.py", names: "from .common \\\n  import A\n"},
		"after a string":                {file: settings + "common.py", names: "A = r'\\''; B = '''from .nothing import'''; from .common import A\n"},
		"importlib":                     {file: settings + "common.py", names: "importlib.import_module('api_settings.settings.common')\n"},
		"a relative importlib":          {file: settings + "common.py", names: "importlib.import_module('.common', __package__)\n"},
		"split settings":                {file: settings + "parts/b.py", names: "include('parts/*.py')\n"},
		"a path from the application":   {file: "API/conf/extra.py", names: "exec(open(BASE_DIR / 'conf/extra.py').read())\n"},
		"a path with a slash before it": {file: "API/conf/extra.py", names: "exec(open(BASE + '/conf/extra.py').read())\n"},
		"a joined path":                 {file: "API/conf/x/extra.py", names: "exec(open(os.path.join(BASE_DIR, 'conf', 'x', 'extra.py')).read())\n"},
		"a path by slashes":             {file: "API/conf/extra.py", names: "runpy.run_path(BASE_DIR / 'conf' / 'extra.py')\n"},
		"a path upwards":                {file: "API/conf/extra.py", names: "include('../../conf/extra.py')\n"},
		"a path that is filled in":      {file: settings + "parts/one_extra.py", names: "include(f'parts/{os.environ[\"MEDCTRL_BUILD\"]}_extra.py', 'parts/%s.py' % x)\n"},
		"importlib, another package":    {file: "API/shared/conf.py", names: "importlib.import_module('shared.conf')\n"},
		"import_string":                 {file: "API/shared/conf.py", names: "import_string('shared.conf.LOGGING')\n"},
		"runpy":                         {file: "API/shared/conf.py", names: "globals().update(runpy.run_module('shared.conf'))\n"},
		"a name that is filled in":      {file: settings + "prod.py", names: "importlib.import_module(f'api_settings.settings.{ENV}')\n"},
		"a name by format":              {file: settings + "prod.py", names: "import_module('{}.{}'.format(__package__, ENV))\n"},
		"a name that is appended":       {file: settings + "prod.py", names: "import_module('.' + ENV, __package__)\n"},
		"a name by a variable":          {file: settings + "prod/__init__.py", names: "name = os.environ['CONF']\n__import__(name)\n"},
		"a name in a package":           {file: settings + "envs/prod.py", names: "name = 'api_settings.settings.envs.%s' % ENV\nimport_module(name)\n"},
		"a relative name in a package":  {file: settings + "envs/prod.py", names: "import_module('.envs.' + ENV, __package__)\n"},
		"a name in another package":     {file: "API/conf/prod.py", names: "import_module(f'conf.{ENV}')\n"},
		"what a package lists":          {file: settings + "parts/logging.py", names: "from .parts import *\n", between: map[string]string{settings + "parts/__init__.py": "__all__ = ['logging']\n"}},
		"CRLF and a byte order mark":    {file: settings + "common.py", names: "\ufefffrom .common import A\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			p.write(t, settings+"deploy_one.py", c.names+"SECRET_KEY = 'x'\n")
			for file, text := range c.between {
				p.write(t, file, text)
			}
			later := strings.HasSuffix(c.file, "local.py")
			if !later {
				p.write(t, c.file, "A = B = 1\n")
			}
			before, hash := Watch(p.root, p.Build, os.Environ()), p.identity(t)
			p.write(t, c.file, "A = B = 2\n")
			after := Watch(p.root, p.Build, os.Environ())
			if path := filepath.Join(p.Source, c.file); !slices.Contains(before.Files, path) || after.Hash == before.Hash {
				t.Errorf("%s is not watched: %q", c.file, before.Files)
			}
			if p.identity(t) == hash {
				t.Errorf("%s is not in the release's identity", c.file)
			}
		})
	}
}

func TestSettingsOfOtherBuildsAreNeitherWatchedNorCount(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "")
	p.write(t, settings+"deploy_one.py", "# from .deploy_three import *\nfrom .deploy_two import *\nimport_module(f'api_settings.settings.{ENV}')\n")
	p.write(t, settings+"deploy_two.py", "A = 1\n")
	p.write(t, settings+"deploy_four.py", "A = 1\n")
	before, hash := Watch(p.root, p.Build, os.Environ()), p.identity(t)
	p.write(t, settings+"deploy_four.py", "A = 2\n")
	if Watch(p.root, p.Build, os.Environ()).Hash != before.Hash || p.identity(t) != hash {
		t.Error("the settings of a build that nobody imports count")
	}
}

// identity is the hash of what would be built now.
func (p *project) identity(t testing.TB) string {
	t.Helper()
	j, err := p.m.prepare(t.Context(), p.request())
	must(t, err)
	return j.hash
}
