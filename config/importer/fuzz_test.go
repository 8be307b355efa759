package importer

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// memory is a machine whose files are in memory. It has no disk that a text could lead to.
type memory map[string]string

func (m memory) ReadFile(file string) ([]byte, error) {
	if text, ok := m[file]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: file, Err: fs.ErrNotExist}
}

func (m memory) IsFile(file string) bool { _, ok := m[file]; return ok }

func (m memory) IsDir(dir string) bool {
	for file := range m {
		if strings.HasPrefix(file, dir+"/") {
			return true
		}
	}
	return false
}

func (m memory) Glob(pattern string) []string {
	var all []string
	for file := range sorted(m) {
		if ok, err := path.Match(pattern, file); ok && err == nil {
			all = append(all, file)
		}
	}
	return all
}

func (memory) Units(context.Context, string) []string {
	return []string{"app@one.service", "app@two-b.service"}
}

func (memory) User(name string) (home, group string, ok bool) {
	return "/home/" + name, name, name == "daemon"
}

func (memory) Processors() int { return 2 }

// Whatever a file says, an import ends, and what it prints is TOML; so it is without the signs before
// the lines of a build that is refused.
func FuzzImport(f *testing.F) {
	names := []string{"/etc/app.service", "/etc/app@.service", "/srv/app/build.sh", "/etc/app.conf", "/srv/app/Procfile", "/srv/app/crontab", "/srv/app/gunicorn.conf.py", "/srv/app/.env", "/srv/app/start", "/etc/app.timer", "/etc/app.service.d/a.conf"}
	examples, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(examples) == 0 {
		f.Fatal("no examples: ", err)
	}
	kinds := map[string]int{".service": 0, ".sh": 2, ".conf": 3, ".py": 6, ".env": 7, ".timer": 9}
	for _, example := range examples {
		text, err := os.ReadFile(example)
		if err != nil {
			f.Fatal(err)
		}
		heads := fileHead.FindAllStringSubmatchIndex(string(text), -1)
		for i, head := range heads {
			end := len(text)
			if i+1 < len(heads) {
				end = heads[i+1][0]
			}
			kind, ok := kinds[path.Ext(string(text[head[2]:head[3]]))]
			if name := path.Base(string(text[head[2]:head[3]])); name == "Procfile" {
				kind, ok = 4, true
			} else if name == "crontab" {
				kind, ok = 5, true
			}
			if ok {
				f.Add(kind, string(text[head[1]:end]))
			}
		}
	}
	for kind := range names {
		for _, text := range []string{"", "\xff\xfe[\x00", "[Service]\nExecStart=\\", "[Service]\nExecStart=gunicorn a:b \"\\x\n", "[program:x]\ncommand=gunicorn -", "web: gunicorn $(", "* * * * * manage.py %", "workers = ((((", "#!/bin/sh\nf() { f; }; f; gunicorn"} {
			f.Add(kind, text)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, text string) {
		if kind < 0 || kind >= len(names) {
			return
		}
		m := memory{
			"/etc/app.service":      "[Service]\nUser=daemon\nWorkingDirectory=/srv/app\nEnvironmentFile=/srv/app/.env\nExecStart=/srv/app/start $X ${Y}\n",
			"/srv/app/start":        "#!/bin/sh\n. ./.env\nexec venv/bin/gunicorn app.wsgi\n",
			"/srv/app/manage.py":    "",
			"/srv/app/app/wsgi.py":  "",
			"/srv/app/.env":         "X=1\nY=2\n",
			"/srv/app/venv/bin/pip": "",
		}
		m[names[kind]] = text
		files := []File{{Path: "/etc/app.service"}}
		if kind != 0 && kind < 7 || kind == 9 {
			files = append(files, File{Path: names[kind]})
		}
		made := Import(t.Context(), m, files, Options{File: "/etc/medctrl/builds.toml"})
		var whole strings.Builder
		for line := range strings.Lines(string(made.TOML)) {
			if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
				line = line[1:]
			}
			whole.WriteString(line)
		}
		for _, text := range []string{string(made.TOML), whole.String()} {
			var held map[string]any
			if _, err := toml.Decode(text, &held); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if held["root"] == nil {
				t.Fatalf("no root in\n%s", text)
			}
		}
		if len(made.Taken)+len(made.Refused)+len(made.Lost) == 0 {
			t.Fatalf("it says nothing:\n%s", made.TOML)
		}
	})
}
