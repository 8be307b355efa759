package config

import (
	"os"
	"strings"
	"testing"
)

// Each » is before a placeholder that must be found.
func TestPlaceholdersOfTheTemplateAreFoundInTheirPlace(t *testing.T) {
	t.Parallel()
	for _, marked := range []string{
		"SECRET_KEY = '»random secret key'\n",
		"# é\nSECRET_KEY = \"»random secret key\"\n",
		"x = 1\r\nSECRET_KEY = '''»random secret key'''\r\n",
		"SECRET_KEY = r\"\"\"»random secret key\"\"\"",
		"KEYS = ['»random secret key']",
		"KEYS = str('»random secret key')",
		"DATABASES = {'default': {\n  'NAME': '»DATABASE_NAME',\n  'USER': 'é', 'X': \"»DATABASE_USER\", \"PASSWORD\": '»DATABASE_PASSWORD',}}\n",
		"NAME = environ.get('DATABASE_NAME', '»DATABASE_NAME')",
		"A = dict(NAME='»DATABASE_NAME')",
		"A = ['»DATABASE_NAME']",
		"A = '#' + '»DATABASE_NAME' # 'DATABASE_NAME'",
		"A = '\\'' + '»DATABASE_NAME'",
		"A = 'unclosed\nB = '»DATABASE_NAME'",
		"BASE_URL = \"»baseurl/\"\nDATABASES = {'default': {'HOST': '»DATABASE_HOST', 'PORT': '»DATABASE_PORT'}}",
		"BASE_URL = str('»baseurl/')",
		"A = b'»DATABASE_HOST' + u\"»DATABASE_HOST\" + Rb'''»DATABASE_HOST''' + f'»DATABASE_HOST'",
		"SECRET_KEY = '»random ' \"secret\" r''' key'''",
		"SECRET_KEY = (\n    '»random '  # of the template\n    'secret key'\n)",
		"SECRET_KEY = '»random ' \\\n  'secret key'",
		"SECRET_KEY = \"»random \\\nsecret key\"\r\nA = '''»random\\\r\n secret key'''",
		"PORT = environ['DATABASE_PORT'] if 'DATABASE_PORT' in environ else '»DATABASE_PORT'",
		"D = {'NAME': '»Database name', 'USER': \"»Database username\", 'PASSWORD': ('»Database password'), 'HOST': '''»Database host''', \"PORT\": '»Database port'}",
		"D['HOST'] = '»Database host'\nD = dict(NAME='»Database name')",
		// None:
		"HOST = environ['DATABASE_HOST'] if \"DATABASE_HOST\"  not in environ else environ.get('DATABASE_HOST')",
		"HELP = ['Database name', 'Database host']\nLABEL = 'Database port'\nTEXTS = {'help': 'Database name', 'Database host': ''}\nHOSTNAME = 'Database host'",
		"BASE_URL = 'api/baseurl/'\nBASE_URL = 'baseurl' '/' 'x'",
		"A = '''\nDATABASE_HOST\n'''",
		"", "x", "'", "\"\"\"", "'\\", "#",
		"SECRET_KEY = 'a random secret key'",
		"# SECRET_KEY = 'random secret key'\n  # NAME = 'DATABASE_NAME'\n",
		"SECRET_KEY = 'x' # was 'random secret key'\n",
		"\"\"\"Put your own for 'random secret key' and\n'DATABASE_NAME'.\"\"\"\n",
		"NAME = DATABASE_NAME",
		"NAME = os.environ['DATABASE_NAME']\nNAME = os.environ [ 'DATABASE_NAME' ]\nNAME = os.environ[\n  'DATABASE_NAME'\n]",
		"NAME = os.environ.get('DATABASE_NAME')\nNAME = getenv(\"DATABASE_NAME\", 'x')\nNAME = env.str( 'DATABASE_NAME')",
		"NAMES = {'DATABASE_NAME': 'x', \"DATABASE_USER\" : 'y'}",
		"NAME = 'DATABASE_NAME_'",
	} {
		text, at := unmark(marked)
		errs := CheckSettingsText("f.py", text)
		if len(errs) != len(at) {
			t.Errorf("%q has %v, want %v", text, errs, at)
			continue
		}
		for i, e := range errs {
			if (place{e.Line, e.Col}) != at[i] || e.File != "f.py" || e.Key == "" || !strings.Contains(e.Msg, e.Key) {
				t.Errorf("%q has %v, want it at %v", text, e, at[i])
			}
		}
	}
}

func TestEachPlaceholderIsFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.good(one).Builds[0]
	for _, name := range placeholders {
		path := s.write("src/API/api_settings/settings/deploy_one.py", "import os\nX = '"+name+"'\n")
		want := path + ":2:6: the template's placeholder \"" + name + "\" is still there: put the real value in"
		if errs := CheckSettings(b); len(errs) != 1 || errs[0].Key != name || errs[0].Error() != want {
			t.Errorf("%s is %v, want %s", name, errs, want)
		}
	}
}

func TestSettingsThatCannotBeReadAreOneError(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.good(one).Builds[0]
	if errs := CheckSettings(b); errs != nil {
		t.Errorf("empty settings are %v", errs)
	}
	if err := os.Remove(b.SettingsFile()); err != nil {
		t.Fatal(err)
	}
	if errs := CheckSettings(b); len(errs) != 1 || errs[0].File != b.SettingsFile() || !strings.HasPrefix(errs[0].Error(), b.SettingsFile()+": read settings") {
		t.Errorf("missing settings are %v", errs)
	}
	if err := os.Mkdir(b.SettingsFile(), 0o755); err != nil {
		t.Fatal(err)
	}
	if errs := CheckSettings(b); len(errs) != 1 {
		t.Errorf("settings that are a folder are %v", errs)
	}
}
