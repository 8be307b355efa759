package importer

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"
)

const simple = `[Service]
User=daemon
WorkingDirectory=/ROOT/srv/shop
ExecStart=/ROOT/srv/shop/venv/bin/gunicorn --workers 3 shop.wsgi
-- srv/shop/manage.py --
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
-- srv/shop/shop/deploy_shop.py --
-- srv/shop/requirements.txt --
gunicorn
`

// What editors of other systems make of a text is the same text.
func TestUnitsOfAnyEditorAreRead(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]func(string) string{
		"CRLF":   func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") },
		"CR":     func(text string) string { return strings.ReplaceAll(text, "\n", "\r") },
		"BOM":    func(text string) string { return "\ufeff" + text },
		"tabs":   func(text string) string { return strings.ReplaceAll(text, "=", "\t=\t") + "\t\n" },
		"no end": func(text string) string { return strings.TrimSpace(text) },
		"ends in a backslash": func(text string) string {
			return strings.TrimSpace(text) + ` \`
		},
		"UTF-16": func(text string) string {
			raw := []byte("\xff\xfe")
			for _, unit := range utf16.Encode([]rune(text)) {
				raw = binary.LittleEndian.AppendUint16(raw, unit)
			}
			return string(raw)
		},
		"UTF-16 the other way": func(text string) string {
			raw := []byte("\xfe\xff")
			for _, unit := range utf16.Encode([]rune(text)) {
				raw = binary.BigEndian.AppendUint16(raw, unit)
			}
			return string(raw)
		},
		"comments between": func(text string) string {
			return "# äöü\n; and\n" + strings.Replace(text, "--workers", "\\\n# not \\\n\n", 1) + "\n" + text
		},
		"long lines": func(text string) string {
			return strings.Replace(text, "User=", "Description="+strings.Repeat("words and ", 1000)+"\nEnvironment=LONG='"+strings.Repeat("x y ", 2000)+"'\nUser=", 1)
		},
		"no section's end": func(text string) string { return text + "\n[Install\nWantedBy=x\nno option\n=3\n" },
	} {
		p := lay(t, "-- etc/shop.service --\n"+simple)
		unit := filepath.Join(p.dir, "etc/shop.service")
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(unit, []byte(encode(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
		got := p.imports(t, "etc/shop.service")
		if !slices.Equal(got.Taken, []string{"shop"}) || !strings.Contains(got.text, "workers ") || len(got.Lost) > 0 {
			t.Errorf("%s: %v %v\n%s", name, got.Refused, got.Lost, got.text)
		}
		if name == "long lines" && got.cfg.Builds[0].Env["LONG"] != strings.Repeat("x y ", 2000) {
			t.Errorf("%s: LONG is %q", name, got.cfg.Builds[0].Env["LONG"])
		}
	}
}

// What is no text, or cannot be read, is said; nothing is waited for.
func TestFilesThatAreNoneOfTheseAreSaid(t *testing.T) {
	t.Parallel()
	p := lay(t, "-- etc/shop.service --\n"+simple+
		"-- bad/binary.service --\n\x7fELF\x00\x00\x01\n-- bad/latin.service --\n[Service]\nDescription=caf\xe9\n-- bad/odd.service --\n\xff\xfe[\x00S\n-- bad/empty.sh --\n-- bad/prose.txt --\nSome words\nabout nothing.\n"+
		"-- bad/none.service --\n[Unit]\nDescription=x\n-- bad/broken.sh --\nif then (\n-- bad/huge.sh --\n"+strings.Repeat("echo hello\n", 30000)+"-- bad/deep.sh --\n"+strings.Repeat("$(", 30000)+"\n-- bad/notours.ini --\n[mysqld]\nport = 3\n")
	bad := filepath.Join(p.dir, "bad")
	for _, err := range []error{
		os.Mkdir(filepath.Join(bad, "folder.service"), 0o755), os.Symlink("loop.service", filepath.Join(bad, "loop.service")), os.Symlink("/dev/zero", filepath.Join(bad, "zero.service")),
		os.Symlink("gone", filepath.Join(bad, "dangling.service")), syscall.Mkfifo(filepath.Join(bad, "pipe.service"), 0o644),
		os.WriteFile(filepath.Join(bad, "sparse.service"), nil, 0o644), os.Truncate(filepath.Join(bad, "sparse.service"), 1<<40),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	entries, err := os.ReadDir(bad)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range entries {
		files := append(p.named(t, "etc/shop.service"), File{Path: filepath.Join(bad, one.Name())})
		r := Import(t.Context(), p, files, p.options())
		if len(r.Lost) != 1 || !strings.Contains(r.Lost[0], one.Name()) || !slices.Equal(r.Taken, []string{"shop"}) {
			t.Errorf("%s: taken over %v, lost %q", one.Name(), r.Taken, r.Lost)
		}
		if len(r.Lost) == 1 && len(r.Lost[0]) > 500 {
			t.Errorf("%s: said in %d letters", one.Name(), len(r.Lost[0]))
		}
	}
	r := Import(t.Context(), p, []File{{Path: filepath.Join(p.dir, "nothing.service")}}, p.options())
	if len(r.Lost) != 1 || !strings.Contains(r.Lost[0], "no such file") {
		t.Errorf("missing: %q", r.Lost)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// Scripts that blow up, or that never end when they are run, end here.
func TestScriptsThatBlowUpEnd(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"functions in a circle": "f() { g; g; }\ng() { f; f; }\nf\n",
		"a text that doubles":   "a=xxxxxxxx\n" + strings.Repeat("a=$a$a$a$a\n", 200) + "gunicorn $a\n",
		"exported, doubling":    "export a=xxxxxxxx\n" + strings.Repeat("export a=$a$a$a$a\n", 200) + "gunicorn $a\n",
		"braces":                "gunicorn {1..100000}{1..100000} app.wsgi\n",
		"for ever":              "while true; do gunicorn app.wsgi; done\n",
		"itself":                "exec sh /ROOT/srv/run.sh\ngunicorn x\n",
		"arithmetic":            "exec gunicorn -w $((99999999*99999999/0)) app.wsgi\n",
		"recursive value":       "a='$b' b='$a'; eval gunicorn $a $b app.wsgi\n",
		"nested":                strings.Repeat("( ", 15000) + "gunicorn" + strings.Repeat(" )", 15000),
		"deep arithmetic":       "echo $((" + strings.Repeat("(", 30000) + "1",
		"deep parameters":       strings.Repeat("${a:-", 12000),
		"deep tests":            "[[ " + strings.Repeat("( ", 30000),
		"many braces":           strings.Repeat("x {1..100}{1..100}{1..100}\n", 2000),
		"deep quotes":           strings.Repeat("\"$(", 20000),
		"deep here":             strings.Repeat("cat <<a\n", 7000),
		"deep braces":           strings.Repeat("{a,", 20000) + "}",
		"deep ifs":              strings.Repeat("if a; then ", 5500),
		"many backquotes":       strings.Repeat("`", 60000),
		"many":                  strings.Repeat("manage.py migrate\n", 3000) + "exec gunicorn app.wsgi",
	} {
		p := lay(t, "-- etc/run.service --\n[Service]\nWorkingDirectory=/ROOT/srv\nExecStart=/bin/sh /ROOT/srv/run.sh\n-- srv/run.sh --\n"+text+"\n")
		begun := time.Now()
		p.imports(t, "etc/run.service")
		p.imports(t, "srv/run.sh")
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// Nothing that may be a secret is printed, wherever it stands.
func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	p := lay(t, `-- etc/shop.service --
[Unit]
Description=password=hidden01
X-Token=hidden02
[Service]
User=daemon
WorkingDirectory=/ROOT/srv/shop
Environment=DB_PASSWORD=hidden03 REDIS=redis://x:hidden04@h/0 HOOK=https://hooks.slack.com/hidden05 AWS_SECRET_ACCESS_KEY=hidden06 "MAIL_PASS=hidden07 x" AMQP_URL=amqp://u:hidden08@h
Environment=JUST_A_NAME=Hidden09Hidden09Hidden09
LoadCredential=token:hidden10
ExecStartPre=/usr/bin/curl -H "Authorization: Bearer hidden11hidden11hidden11" https://u:hidden12@h/
ExecStartPre=/ROOT/srv/shop/venv/bin/python manage.py loaddata --password hidden13
ExecStartPost=/usr/bin/notify --token hidden14 --api-key=hidden15
ExecStart=/ROOT/srv/shop/venv/bin/gunicorn --env DJANGO_SECRET_KEY=hidden16 --statsd-host https://u:hidden17@h shop.wsgi
Strange=PASSWORD=hidden18
broken line with password=hidden19
-- etc/shop-worker.service --
[Service]
User=daemon
WorkingDirectory=/ROOT/srv/shop
Environment=OTHER_PASSWORD=hidden20
ExecStart=/ROOT/srv/shop/venv/bin/celery -A shop --broker amqp://u:hidden21@h --result-password=hidden22 worker
-- src/deploy.sh --
export DB_PASSWORD=hidden23
curl https://u:hidden24@h/ && SECRET=hidden25 ./tell --password hidden26
cd /ROOT/srv/shop && python manage.py init --secret hidden27
mysql -u shop --password=hidden28 shop < dump
-- etc/cron --
API_TOKEN=hidden29
1 2 * * * cd /ROOT/srv/shop && DB_PASSWORD=hidden30 python manage.py sync --token hidden31
-- srv/shop/gunicorn.conf.py --
raw_env = ["DB_PASSWORD=hidden32"]
password = connect("hidden33")
connect(password="hidden34")
bind = os.getenv("X", "unix:/x") + hash("hidden35")
-- srv/shop/manage.py --
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
-- srv/shop/shop/deploy_shop.py --
-- srv/shop/requirements.txt --
gunicorn
`)
	r := Import(t.Context(), p, p.named(t, "etc/*.service", "src/deploy.sh", "etc/cron"), p.options())
	for line := range strings.Lines(string(r.TOML) + strings.Join(r.Lost, "\n")) {
		if strings.Contains(strings.ToLower(line), "hidden") {
			t.Errorf("it prints %s", line)
		}
	}
	if !slices.Equal(r.Refused, []string{"shop"}) || !strings.Contains(string(r.TOML), "DB_PASSWORD") {
		t.Errorf("%v %v\n%s", r.Refused, r.Lost, r.TOML)
	}
}

// A comment of somebody else's files is a comment of ours: no line of it becomes a key.
func TestForeignTextStaysInComments(t *testing.T) {
	t.Parallel()
	p := lay(t, "-- etc/shop.service --\n"+strings.Replace(simple, "[Service]\n", "[Unit]\nConditionHost=a\u2028b\u0085root = \"/x\"\u202eevil\u0000\n[Service]\nStrange=\"\\nroot = 3\\n[[build]]\" '''\nEnvironment=\"A=\\nB=1\\x7f\\\"\\\\\" 'É=x' \"C=\\u2028\\U0001F600\"\n", 1))
	text, err := os.ReadFile(filepath.Join(p.dir, "etc/shop.service"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "etc/shop.service"), []byte(strings.ReplaceAll(string(text), "\x00", "")), 0o644); err != nil {
		t.Fatal(err)
	}
	got := p.imports(t, "etc/shop.service")
	if strings.ContainsAny(got.text, "\u2028\u0085\u202e\x7f") || len(got.Taken)+len(got.Refused) != 1 {
		t.Errorf("%v %q", got.Refused, got.text)
	}
}
