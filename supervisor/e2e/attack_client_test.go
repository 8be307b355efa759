package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// send sends bytes to the front as they are, and returns all that comes back until the front closes, or
// nothing has come for a while.
func (a *arena) send(text string) string {
	conn, err := net.Dial("tcp", a.Front)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	go io.WriteString(conn, text) // it may be refused before it is all sent
	got, err := io.ReadAll(conn)
	if err != nil && len(got) == 0 {
		return err.Error()
	}
	return string(got)
}

// statuses lists the status lines in what the front sent.
func statuses(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "HTTP/1.") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	if len(all) == 0 {
		return "no response: " + text
	}
	return strings.Join(all, " | ")
}

// served asks the front for a page as anybody does.
func (a *arena) served(path string) string {
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + a.Front + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + "\n" + string(text)
}

func attemptsOfClients() []attempt {
	sends := func(what, text, refused string) attempt {
		return attempt{by: client, what: what, refused: refused, try: func(a *arena) string { return statuses(a.send(text)) }}
	}
	sees := func(what, header, refused string) attempt {
		return attempt{by: client, what: what, refused: refused, try: func(a *arena) string {
			return a.send("GET /one/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + header + "\r\n\r\n")
		}}
	}
	const second = "GET /two/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
	return []attempt{
		sends("hides a request behind two lengths", "POST /one/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+second,
			`^HTTP/1\.1 \d+ [\w ]+$`), // one response, then the connection ends
		sends("sends two different lengths", "POST /one/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nabcd"+second, `^HTTP/1\.1 400 [\w ]+$`),
		sends("sends a length that is no number", "POST /one/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n\r\nabcd"+second, `^HTTP/1\.1 400 [\w ]+$`),
		sends("sends a coding that is not known", "POST /one/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"+second, `^HTTP/1\.1 (400|501) [\w ]+$`),
		sends("sends a space before a header's colon", "GET /one/ HTTP/1.1\r\nHost: localhost\r\nX-A : b\r\n\r\n", `^HTTP/1\.1 400`),
		sends("sends a header with a control character", "GET /one/ HTTP/1.1\r\nHost: localhost\r\nX-A: b\x00c\r\n\r\n", `^HTTP/1\.1 400`),
		sends("sends no host", "GET /one/ HTTP/1.1\r\n\r\n", `^HTTP/1\.1 400`),
		sends("sends a header without end", "GET /one/ HTTP/1.1\r\nHost: localhost\r\nX-A: "+strings.Repeat("a", 4<<20), `^HTTP/1\.1 431`),
		sends("asks for a tunnel", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", `^HTTP/1\.1 4(00|04|05)`),
		sends("asks the front for the supervisor's API", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", `^HTTP/1\.1 404`),
		sends("looks for the dashboard below the applications", "GET /-/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", `^HTTP/1\.1 404`),
		sees("says that it came over TLS", "X-Forwarded-Proto: https", `"X-Forwarded-Proto": "http"`),
		sees("has its address forgotten", "X-Forwarded-For: 6.6.6.6\r\nConnection: X-Forwarded-For", `"X-Forwarded-For": "(6\.6\.6\.6, )?127\.`),
		{by: client, what: "names the application's prefix", refused: nothing, try: func(a *arena) string {
			said := a.send("GET /one/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nSCRIPT_NAME: /evil\r\n\r\n")
			if !strings.Contains(said, `"banner"`) || strings.Contains(said, "evil") {
				return said
			}
			return "nothing"
		}},
		{by: ownCode, what: "takes every page of its origin", refused: nothing, try: func(a *arena) string {
			said := a.send("GET /one/header?Service-Worker-Allowed=/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if !strings.Contains(said, "\r\nsent") || strings.Contains(strings.ToLower(said), "service-worker-allowed") {
				return said
			}
			return "nothing"
		}},
		{by: client, what: "sends half a request a thousand times", refused: `^200`, try: func(a *arena) string {
			for range 1000 {
				conn, err := net.Dial("tcp", a.Front)
				if err != nil {
					break // the front's bound
				}
				defer conn.Close()
				fmt.Fprint(conn, "GET /one/ HTTP/1.1\r\nHost: localhost\r\n") // who is not let in may be told so
			}
			return a.served("/one/")
		}},
		{by: client, what: "sends bodies slowly to all workers", refused: `^200`, try: func(a *arena) string {
			for range 8 {
				conn, err := net.Dial("tcp", a.Front)
				if err != nil {
					return err.Error()
				}
				defer conn.Close()
				fmt.Fprint(conn, "POST /one/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
			}
			return a.served("/one/")
		}},
		{by: client, what: "reads a large response slowly", refused: `^200`, try: func(a *arena) string {
			for range 4 {
				conn, err := net.Dial("tcp", a.Front)
				if err != nil {
					return err.Error()
				}
				defer conn.Close()
				fmt.Fprint(conn, "GET /one/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil {
					return err.Error()
				}
			}
			return a.served("/one/")
		}},
	}
}
