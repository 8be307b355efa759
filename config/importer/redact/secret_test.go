package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNothingThatMayBeASecretIsShown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"postgres://user:hunter2@db/x", "--password hunter2 next", "API_TOKEN=hunter2", "Authorization: Bearer hunter2", "mysql -phunter2 app", `password = "hunter2 and more"`,
		"https://hooks.slack.com/hunter2", "key AKhunter2AAAABBBBCCCCDD22",
	} {
		if got := Shown(text); strings.Contains(got, "hunter2") {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
	for name, value := range map[string]string{"SECRET_KEY_FILE": "/run/key", "PORT": "8000", "SECRET": "", "TOKEN": "none"} {
		if IsSecret(name, value) {
			t.Errorf("%s=%s counts as a secret", name, value)
		}
	}
	if SecretsIn([]string{"run", "--port", "8000"}) || !SecretsIn([]string{"run", "--token", "abc"}) {
		t.Error("a command's options are not told apart")
	}
}

func TestForeignTextIsOneShortLine(t *testing.T) {
	t.Parallel()
	if got := Plain("a\tb\n\u202ec"); got != "a b c" {
		t.Errorf("%q", got)
	}
	if got := Shown(strings.Repeat("é ", 100)); utf8.RuneCountInString(got) != 80 || !strings.HasSuffix(got, "…") {
		t.Errorf("%q", got)
	}
}
