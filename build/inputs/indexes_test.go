package inputs

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestIndexesAreThoseThatPipWouldAsk(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	conf := filepath.Join(home, "pip.conf")
	must(t, os.WriteFile(conf, []byte("[global]\nindex-url = https://conf/simple\nextra-index-url =\n    https://a/simple\n    https://b/simple\ntrusted-host = conf\n"), 0o644))
	env := func(more ...string) []string {
		return append([]string{"HOME=" + home, "XDG_CONFIG_DIRS=" + home}, more...)
	}
	for name, c := range map[string]struct {
		env, args    []string
		requirements string
		want         Indexes
	}{
		"nothing said": {env(), nil, "", Indexes{URLs: []string{publicIndex}}},
		"settings": {env("PIP_CONFIG_FILE=" + conf), nil, "", Indexes{
			URLs: []string{"https://conf/simple", "https://a/simple", "https://b/simple"}, Insecure: []string{"conf"}}},
		"variables":     {env("PIP_CONFIG_FILE="+conf, "PIP_INDEX_URL=https://env/simple", "PIP_EXTRA_INDEX_URL=https://a/simple"), nil, "", Indexes{URLs: []string{"https://env/simple", "https://a/simple", "https://b/simple"}, Insecure: []string{"conf"}}},
		"arguments":     {env("PIP_INDEX_URL=https://env/simple"), []string{"-i", "https://arg/simple", "--cert=/ca.pem", "--proxy", "http://p:1"}, "", Indexes{URLs: []string{"https://arg/simple"}, CA: "/ca.pem", Proxy: "http://p:1"}},
		"requirements":  {env(), []string{"-ihttps://arg/simple"}, "--index-url https://${MEDCTRL_BUILD}/simple\ndemo\n", Indexes{URLs: []string{"https://one/simple"}}},
		"off":           {env(), []string{"--no-index", "--find-links", "/wheels"}, "", Indexes{Links: []string{"/wheels"}}},
		"off by a name": {env("PIP_NO_INDEX=1"), nil, "-f wheels\n", Indexes{Links: []string{"wheels"}}},
		"authorities":   {env("REQUESTS_CA_BUNDLE=/ours.pem"), nil, "", Indexes{URLs: []string{publicIndex}, CA: "/ours.pem"}},
		"not off":       {env("PIP_NO_INDEX=0"), nil, "", Indexes{URLs: []string{publicIndex}}},
	} {
		b := config.Build{Name: "one", Requirements: "requirements.txt", PipArgs: c.args}
		b.Source = t.TempDir()
		must(t, os.WriteFile(b.RequirementsFile(), []byte(c.requirements), 0o644))
		reads := InstallReads(b, "", c.env)
		reads.Files = slices.DeleteFunc(reads.Files, func(f TextFile) bool { return f.Path == "/etc/pip.conf" }) // this machine's
		got := reads.Indexes()
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
