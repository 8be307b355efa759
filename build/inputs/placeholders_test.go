package inputs

import (
	"strings"
	"testing"
)

func TestPlaceholderThatSettingsImportIsRefused(t *testing.T) {
	t.Parallel()
	const databases = "DATABASES = {\n    'default': {\n        'ENGINE': 'django.db.backends.mysql',\n        'HOST': 'DATABASE_HOST',\n    },\n}\n"
	for name, c := range map[string]struct {
		file, names, text, between string
		at                         string // of the placeholder; "": none is left
	}{
		"all of a module":             {file: "base", names: "from .base import *\n", text: "BASE_URL = 'baseurl/'\n", at: "base.py:1:13"},
		"a name":                      {file: "../common", names: "from ..common import DATABASES\n", text: "import os\n" + databases, at: "common.py:5:18"},
		"by a module on the way":      {file: "base", names: "from .between import *\n", between: "from .base import *\n", text: "SECRET_KEY = 'random secret key'\n", at: "base.py:1:15"},
		"passed on":                   {file: "base", names: "from . import base\nDATABASES = base.DATABASES\n", text: databases, at: "base.py:4:18"},
		"in a call":                   {file: "base", names: "from .base import *\n", text: "SECRET_KEY: str = str(\n\n'random secret key')\n", at: "base.py:3:2"},
		"a name that is imported too": {file: "base", names: "import_module('.' + X)\nfrom .base import *\n", text: "BASE_URL = 'baseurl/'\n", at: "base.py:1:13"},

		"set by the settings":         {file: "base", names: "from .base import *\nBASE_URL = 'one/'\n", text: "BASE_URL = 'baseurl/'\n"},
		"filled in by the settings":   {file: "base", names: "from .base import *\nDATABASES['default']['HOST'] = 'db'\n", text: databases},
		"updated by the settings":     {file: "base", names: "from .base import *\nDATABASES.update(default=None)\n", text: databases},
		"set on the way":              {file: "base", names: "from .between import *\n", between: "from .base import *\nif True:\n    BASE_URL = 'x/'\n", text: "BASE_URL = 'baseurl/'\n"},
		"set again":                   {file: "base", names: "from .base import *\n", text: "BASE_URL = 'baseurl/'\nBASE_URL = 'x'\n"},
		"in a block":                  {file: "base", names: "from .base import *\n", text: "if False:\n    BASE_URL = 'baseurl/'\n"},
		"one of several that may be":  {file: "template", names: "import_module(f'{__package__}.{NAME}')\n", text: "BASE_URL = 'baseurl/'\n"},
		"in a module that is not":     {file: "template", names: "", text: "BASE_URL = 'baseurl/'\n"},
		"the name of a variable":      {file: "base", names: "from .base import *\n", text: "HOST = os.environ['DATABASE_HOST']\n"},
		"a text of another meaning":   {file: "base", names: "from .base import *\n", text: "BASE_URL = 'api/baseurl/'\n"},
		"by two that may be, not one": {file: "template", names: "import_module(f'{__package__}.{NAME}')\n", between: "from .template import *\n", text: "BASE_URL = 'baseurl/'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.write(t, settings+"deploy_one.py", c.names+"X = 'x'\n")
			p.write(t, settings+c.file+".py", c.text)
			p.write(t, settings+"between.py", c.between)
			found := Placeholders(p.Build)
			switch {
			case c.at == "" && len(found) > 0:
				t.Errorf("refused: %v", found)
			case c.at != "" && (len(found) != 1 || !strings.HasPrefix(found[0].File, p.Source) || !strings.Contains(found[0].Error(), "/"+c.at+": the template's placeholder")):
				t.Errorf("found %v, want one at %s", found, c.at)
			}
		})
	}
}
