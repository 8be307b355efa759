package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// oldSetup writes a template unit, a build script and two settings files.
func oldSetup(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	for name, text := range map[string]string{
		"src/API/manage.py": "", "src/requirements.txt": "gunicorn\n",
		"src/API/api_settings/settings/deploy_development.py": "BASE_URL = \"api/\"\n", "src/API/api_settings/settings/deploy_testing.py": "BASE_URL = \"testapi/\"\n",
		"src/build.sh": "#!/bin/bash\ncp -r API /opt/x/$BUILD_NAME\npython manage.py migrate\n",
		"units/medctrl@.service": "[Service]\nEnvironment=DJANGO_SETTINGS_MODULE=api_settings.settings.deploy_%i\nWorkingDirectory=/opt/x/%i/API\n" +
			"ExecStart=/opt/x/%i/virtualenv/bin/gunicorn --workers 4 api_settings.wsgi:application\n",
	} {
		d.write(name, text)
	}
	return d
}

func TestAnImportIsWhatCheckAccepts(t *testing.T) {
	t.Parallel()
	d := oldSetup(t)
	out, errOut, code := d.run("import", "--root", filepath.Join(d.dir, "builds"), filepath.Join(d.dir, "units/medctrl@.service"), filepath.Join(d.dir, "src/build.sh"))
	if code != exitDone || errOut != "" || !strings.Contains(out, `name     = "development"`) || strings.Count(out, "[[build]]") != 2 {
		t.Fatalf("exit %d, %q\n%s", code, errOut, out)
	}
	d.write("builds.toml", out)
	if said, errOut, code := d.run("check"); code != exitDone || !strings.Contains(said, "2 builds, no errors") {
		t.Errorf("check: exit %d, %s%s\n%s", code, said, errOut, out)
	}
	if entries, err := os.ReadDir(d.dir); err != nil || len(entries) != 4 {
		t.Errorf("an import made something: %v %v", entries, err)
	}
}

func TestAnImportSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	d := oldSetup(t)
	unit, root := filepath.Join(d.dir, "units/medctrl@.service"), filepath.Join(d.dir, "builds")
	d.write("units/medctrl@.service", d.read("units/medctrl@.service")+"User=no-such-user\n")
	out, errOut, code := d.run("import", "--root", root, "--source", filepath.Join(d.dir, "src"), unit, filepath.Join(d.dir, "nothing"))
	if code != exitFailed || !strings.Contains(errOut, "nothing cannot be read") || !strings.Contains(errOut, "build testing stands as a comment") ||
		!strings.Contains(out, `user = "no-such-user": want a user of this system`) || !strings.Contains(out, "\n#[[build]]\n") {
		t.Errorf("exit %d, %q\n%s", code, errOut, out)
	}
	d.write("builds.toml", out)
	if said, _, code := d.run("check"); code != exitDone || !strings.Contains(said, "0 builds") {
		t.Errorf("check: exit %d, %s", code, said)
	}
	if _, errOut, code := d.run("import", "-", "-"); code != exitUsage || !strings.Contains(errOut, "can be read once") {
		t.Errorf("twice: exit %d, %s", code, errOut)
	}
	var o, e bytes.Buffer
	code = d.runIn(t.Context(), strings.NewReader("30 2 * * * cd /opt/x/testing/API && python manage.py clearsessions\n"), &o, &e,
		"import", "--root", root, "--source", filepath.Join(d.dir, "src"), unit, "-")
	if code != exitFailed || !strings.Contains(o.String(), `#command = ["manage.py", "clearsessions"]`) || !strings.Contains(o.String(), "standard input, line 1") {
		t.Errorf("exit %d, %s\n%s", code, e.String(), o.String())
	}
}
