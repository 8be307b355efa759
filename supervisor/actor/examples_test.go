package actor

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// example runs a script of examples/hooks as a hook, and returns what it said; ok is exit code 0.
func example(t *testing.T, script string, env ...string) (said string, ok bool) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	ctx, cancel := context.WithTimeout(t.Context(), hookLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join("../../examples/hooks", script))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "MEDCTRL_BUILD=one", "MEDCTRL_RELEASE=r2", "MEDCTRL_EVENT=candidate_failed",
		"MEDCTRL_REASON=exit code 1: é <!channel> ```\xff", "PYTHONDONTWRITEBYTECODE=1"}, env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func TestExampleHooksPostJSON(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]map[string]string{
		"webhook.py": {"build": "one", "release": "r2", "event": "candidate_failed", "reason": "exit code 1: é <!channel> ```\ufffd"},
		"chat.py":    {"text": ":x: *one*: candidate failed, release r2\n```\nexit code 1: é &lt;!channel&gt; '''\ufffd\n```"},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			variable := map[string]string{"webhook.py": "WEBHOOK_URL=", "chat.py": "CHAT_URL="}[script]
			got := make(chan map[string]string, 1)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/secret/no":
					http.Error(w, "no such channel", http.StatusNotFound)
				case "/secret/away":
					http.Redirect(w, r, "/secret/no", http.StatusFound)
				default:
					var v map[string]string
					if err := json.NewDecoder(r.Body).Decode(&v); err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
						t.Errorf("%s %v: %v", r.Method, r.Header, err)
					}
					got <- v
				}
			}))
			defer s.Close()
			if said, ok := example(t, script, variable+s.URL+"/secret"); !ok || said != "" {
				t.Fatal(said)
			}
			v := <-got
			if len(v) != len(want) {
				t.Errorf("got %q", v)
			}
			for key, text := range want {
				if v[key] != text {
					t.Errorf("%s is %q, want %q", key, v[key], text)
				}
			}
			closed := httptest.NewServer(nil)
			closed.Close()
			for value, want := range map[string]string{
				"":                             "is not set",
				"file:///secret/passwd":        "is no address of a webhook",
				"http://localhost:port/secret": "is no address of a webhook",
				s.URL + "/secret/no":           "returned status 404: no such channel",
				s.URL + "/secret/away":         "returned status 302",
				closed.URL + "/secret":         "refused",
				strings.Replace(s.URL, "http", "https", 1) + "/secret": "send to 127.0.0.1:",
			} {
				said, ok := example(t, script, variable+value)
				if ok || !strings.HasPrefix(said, script+": ") || !strings.Contains(said, want) || strings.Count(said, "\n") != 1 || strings.Contains(said, "secret") {
					t.Errorf("%q: said %q, want %q", value, said, want)
				}
			}
		})
	}
}

// mailServer is an SMTP server for one client, without STARTTLS. mails gets what it was sent.
func mailServer(t *testing.T, refuses string) (addr string, mails <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	sent := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return // the test has ended
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		mail, body := "", false
		for reply := "220 here\r\n"; ; {
			if _, err := io.WriteString(conn, reply); err != nil {
				return
			}
			reply = "250 ok\r\n"
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				mail += line
				if body && line != ".\r\n" {
					continue
				}
				switch {
				case refuses != "" && strings.HasPrefix(line, refuses):
					reply = "550 not here\r\n"
				case strings.HasPrefix(line, "QUIT"):
					reply = "221 bye\r\n"
				case strings.HasPrefix(line, "data"):
					reply, body = "354 go on\r\n", true
				case body:
					body = false
					sent <- mail
				}
				break
			}
		}
	}()
	return ln.Addr().String(), sent
}

func TestExampleHookSendsMail(t *testing.T) {
	t.Parallel()
	addr, mails := mailServer(t, "")
	if said, ok := example(t, "mail.py", "MAIL_TO=a@example.com, b@example.com", "SMTP_URL=smtp://"+addr); !ok || said != "" {
		t.Fatal(said)
	}
	mail := <-mails
	for _, want := range []string{"RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>", "rom: a@example.com\r\n", "Subject: one: candidate failed\r\n", "Auto-Submitted: auto-generated\r\n"} {
		if !strings.Contains(strings.ReplaceAll(mail, "rcpt TO", "RCPT TO"), want) {
			t.Errorf("without %q: %s", want, mail)
		}
	}
	refusing, _ := mailServer(t, "rcpt")
	plain, _ := mailServer(t, "")
	for _, c := range []struct{ to, url, want string }{
		{"", "smtp://" + addr, "MAIL_TO is not set"},
		{"a@example.com", "http://hidden@x", "SMTP_URL is no address of a mail server"},
		{"a@example.com", "smtp://x:port", "SMTP_URL is no address of a mail server"},
		{"a@example.com\nBcc: c@example.com", "smtp://" + addr, "MAIL_TO or MAIL_FROM is no address"},
		{"a@example.com", "smtp://" + refusing, "not here"},
		{"a@example.com", "smtp://me:hidden@" + plain, "it offers no STARTTLS"},
	} {
		said, ok := example(t, "mail.py", "MAIL_TO="+c.to, "SMTP_URL="+c.url)
		if ok || !strings.HasPrefix(said, "mail.py: ") || !strings.Contains(said, c.want) || strings.Count(said, "\n") != 1 || strings.Contains(said, "hidden") {
			t.Errorf("%+v: said %q", c, said)
		}
	}
}

func TestExampleHookSendsMailBySendmail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := "PATH=" + dir + ":" + os.Getenv("PATH")
	install := func(script string) {
		if err := os.WriteFile(filepath.Join(dir, "sendmail"), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is a program
			t.Fatal(err)
		}
	}
	install(`echo "$@" >"$0.args"; cat >"$0.mail"`)
	if said, ok := example(t, "mail.py", "MAIL_TO=a@example.com", path); !ok || said != "" {
		t.Fatal(said)
	}
	for name, want := range map[string]string{"args": "-i -t\n", "mail": "To: a@example.com\n"} {
		text, err := os.ReadFile(filepath.Join(dir, "sendmail."+name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	install("echo queue is full; exit 75")
	if said, ok := example(t, "mail.py", "MAIL_TO=a@example.com", path); ok || !strings.Contains(said, "exit code 75: queue is full") {
		t.Error(said)
	}
}
