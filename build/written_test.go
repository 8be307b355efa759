package build

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// writesSecret prints the secret of its environment in every way that programs do.
const writesSecret = `import os, json, urllib.parse, base64
s = os.environ["DB_PASSWORD"]
for text in (s, repr({"x": s}), repr(s.encode()), ascii(s), json.dumps(s), json.dumps(s, ensure_ascii=False), json.dumps(s).replace("/", "\\/"),
             urllib.parse.quote(s), urllib.parse.quote(s, safe=""), urllib.parse.quote_plus(s)):
    print(text)
for user in ("", "u:", "me:", "you:"):
    print(base64.b64encode((user + s).encode()).decode(), base64.urlsafe_b64encode((user + s + ":x").encode()).decode())
`

func TestSecretIsHiddenHoweverAProgramWritesIt(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"plain-and-long", `hun"ter2'x\y`, "pässwörtchen", "a b&c/d%e+f=g", "tab\there<&>", "日本語のパスワード", "€uro'\"€uro"} {
		cmd := exec.Command(distribution, "-I", "-c", writesSecret)
		cmd.Env = append(os.Environ(), "DB_PASSWORD="+secret, "PYTHONIOENCODING=utf-8", "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		known := sortSecrets(written(secret))
		for line := range strings.Lines(string(out)) {
			for word := range strings.FieldsSeq(line) {
				if got := conceal(line, known); !strings.Contains(got, hidden) {
					t.Errorf("of %q is left: %s", secret, line)
				} else if len(word) > 3*leastBase64 && strings.Contains(got, word) {
					t.Errorf("of %q is left: %s", secret, word)
				}
			}
		}
	}
}
