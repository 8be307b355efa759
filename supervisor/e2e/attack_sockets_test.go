package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asReader is Python code of a member of control_group: c is a connection to the control socket.
func (a *arena) asReader(code string) string {
	return asUser(a.reader, python, "-I", "-c", fmt.Sprintf("import array, os, socket, time\npath = %q\n%s", filepath.Join(a.Root, ".supervisor/control.sock"), code))
}

// descriptors is how many the supervisor has open.
func (a *arena) descriptors() int {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Pid()))
	if err != nil {
		return -1
	}
	return len(all)
}

func attemptsOnSockets() []attempt {
	// asks is a request of a member of control_group, which may look and nothing else.
	asks := func(what, method, path, refused string) attempt {
		return attempt{by: local, what: what, refused: refused, try: func(a *arena) string {
			return a.asReader(fmt.Sprintf(`
c = socket.socket(socket.AF_UNIX); c.connect(path)
c.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
print(c.recv(4096).decode().split("\r\n")[0])`, method, path))
		}}
	}
	connects := func(who func(*arena) *syscall.Credential, glob string) func(*arena) string {
		return func(a *arena) string {
			a.fourth()
			found, err := filepath.Glob(filepath.Join(a.Root, glob))
			if err != nil || len(found) == 0 {
				return fmt.Sprintf("there is no %s: %v", glob, err)
			}
			return asUser(who(a), python, "-I", "-c", fmt.Sprintf(`
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try: socket.socket(socket.AF_UNIX, kind).connect(%q); print("connected")
    except PermissionError: print("refused")
    except OSError as error: print(error)`, found[0]))
		}
	}
	stranger := func(a *arena) *syscall.Credential { return a.stranger }
	other := func(a *arena) *syscall.Credential { return a.two }
	own := func(a *arena) *syscall.Credential { return a.one }
	return []attempt{
		asks("runs a command as one who may only look", "POST", "/v1/builds/one/run", `^HTTP/1\.1 403`),
		asks("deploys as one who may only look", "POST", "/v1/builds/one/deploy", `^HTTP/1\.1 403`),
		asks("asks what a reload would do as one who may only look", "POST", "/v1/reload?dry_run=1", `^HTTP/1\.1 403`),
		asks("signals a command as one who may only look", "POST", "/v1/builds/one/tasks/run.aaaaaaaaaaaa/signal?signal=KILL", `^HTTP/1\.1 403`),
		asks("upgrades the supervisor as one who may only look", "POST", "/v1/upgrade", `^HTTP/1\.1 403`),
		{by: local, what: "uses up the supervisor's descriptors by handing it some", refused: nothing, try: func(a *arena) string {
			before := a.descriptors()
			said := a.asReader(`
c = socket.socket(socket.AF_UNIX); c.connect(path)
c.settimeout(3)
try:
    for i in range(200):
        c.sendmsg([b"GET /v1/x HTTP/1.1\r\nHost: x\r\nA: " [i % 8:i % 8 + 1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 100).tobytes())])
except OSError as error: print(error)
time.sleep(0.3)
print("handed")
time.sleep(1)`)
			if !strings.Contains(said, "handed") {
				return said
			}
			if more := a.descriptors() - before; more > 20 {
				return fmt.Sprintf("%d more", more)
			}
			return "nothing"
		}},
		{by: local, what: "keeps root from the control socket", refused: `^all is told$`, try: func(a *arena) string {
			cmd := make(chan string, 1)
			go func() {
				cmd <- a.asReader(`
held = []
for i in range(400):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(3)
    try:
        c.connect(path)
        c.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    except OSError: break
    held.append(c)
time.sleep(6)
print(len(held))`)
			}()
			// Half as long as the connections are held: how many it gets is for the supervisor to say, so there is
			// no number to wait for.
			time.Sleep(3 * time.Second)
			said, wrong, code := a.CLI("status")
			<-cmd
			if code != 0 {
				return wrong + said
			}
			return "all is told"
		}},
		{by: client, what: "sends a body slowly to the control socket", refused: `^4\d\d|^closed`, try: func(a *arena) string {
			conn, err := net.Dial("unix", filepath.Join(a.Root, ".supervisor/control.sock"))
			if err != nil {
				return err.Error()
			}
			defer conn.Close()
			begun := time.Now()
			fmt.Fprint(conn, "POST /v1/builds/one/restart HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
			conn.SetDeadline(begun.Add(20 * time.Second))
			text := make([]byte, 512)
			n, err := conn.Read(text)
			took := time.Since(begun)
			switch {
			case took > 8*time.Second:
				return fmt.Sprintf("it waits for %v", took)
			case n > 9:
				return string(text[9:n])
			}
			return fmt.Sprintf("closed: %v", err)
		}},
		{by: client, what: "sends half a scrape a thousand times", refused: nothing, try: func(a *arena) string {
			before := a.descriptors()
			for range 1000 {
				conn, err := net.DialTimeout("tcp", a.Metrics, time.Second)
				if err != nil {
					break
				}
				defer conn.Close()
				fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
			}
			if more := a.descriptors() - before; more > 40 {
				return fmt.Sprintf("%d more descriptors", more)
			}
			out, err := getFrom("127.0.0.9", a.Metrics, "/metrics", "localhost")
			if err != nil || !strings.Contains(out, "medctrl_") {
				return fmt.Sprint("another scraper gets ", err, out)
			}
			return "nothing"
		}},
		{by: client, what: "asks the metrics' address for more", refused: `^(40\d \| ?)+$`, try: func(a *arena) string {
			var all string
			for _, path := range []string{"/", "/v1/status", "/v1/events", "/v1/logs/two", "/metrics/../v1/status"} {
				out, err := getFrom("127.0.0.9", a.Metrics, path, "localhost")
				if err != nil {
					return err.Error()
				}
				all += out[:3] + " | "
			}
			return all
		}},
		{by: client, what: "has a page of its own read the metrics by another name", refused: `^4(03|21)`, try: func(a *arena) string {
			out, err := getFrom("127.0.0.9", a.Metrics, "/metrics", "evil.example")
			if err != nil {
				return err.Error()
			}
			return out
		}},
		{by: local, what: "says READY in the place of a process", refused: `^(refused\s*)+$`, try: connects(stranger, "four/run/*/notify")},
		{by: ownCode, what: "says READY in the place of another build's process", refused: `^(refused\s*)+$`, try: connects(other, "four/run/*/notify")},
		{by: local, what: "connects past the queue of a build with replicas", refused: `^(refused\s*)+$`, try: connects(stranger, "four/run/*.sock")},
		{by: ownCode, what: "connects past the queue of another build", refused: `^(refused\s*)+$`, try: connects(other, "four/run/*.sock")},
		{by: ownCode, what: "connects past its own queue", refused: `^(refused\s*)+$`, try: connects(own, "four/run/*.sock")},
		{by: ownCode, what: "says that it is alive without end", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			before := a.descriptors()
			err := s.does("process", `
import socket, time, array
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
end = time.time() + 4
open(data + "/floods", "w")
s.send(b"READY=1")
s.settimeout(1)
sent = 0
null = os.open("/dev/null", os.O_RDONLY)
while time.time() < end:
    try: s.sendmsg([b"WATCHDOG=1\nREADY=1\nWATCHDOG_USEC=18446744073709551616\nFDSTORE=1\n" + b"A" * 4000], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 50).tobytes())]); sent += 1
    except OSError: pass
open(data + "/flooded", "w").write(str(sent))`)
			if err != nil {
				return err.Error()
			}
			s.CLI("restart", "four")
			until(patience, func() string { return readAll(s.Data("four", "floods")) }, func(text string) bool { return text == "" })
			more := a.descriptors() - before
			said := until(patience, func() string { return readAll(s.Data("four", "flooded")) }, func(text string) bool { return !strings.HasPrefix(text, "(") && text != "" })
			// What is not read waits at its own cost: the supervisor reads a message in a millisecond.
			if heard, err := strconv.Atoi(said); err != nil || heard > 5000 || more > 30 {
				return fmt.Sprintf("%s messages were heard, and there are %d more descriptors", said, more)
			}
			return "nothing"
		}},
		{by: ownCode, what: "types into the terminal of who runs it", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			code := `
import fcntl, os, sys, termios
for fd in (0, 1, 2):
    for c in b"touch owned\n":
        try: fcntl.ioctl(fd, 0x5412, bytes([c]))
        except OSError as error: print(error)
for n in range(64):
    try: fd = os.open("/dev/pts/%d" % n, os.O_RDWR)
    except OSError: continue
    if os.ttyname(0) != "/dev/pts/%d" % n: print("opened", n)
print("typed", flush=True)`
			if err := os.WriteFile(s.Data("four", "type.py"), []byte(code), 0o644); err != nil {
				return err.Error()
			}
			o := s.RunOnceAtTerminal(a.t.(*testing.T), "four", "python", s.Data("four", "type.py"))
			o.Says("typed")
			select {
			case <-o.ended:
			case <-time.After(patience):
				return "it does not end"
			}
			if strings.Contains(o.out.String(), "opened") {
				return o.out.String()
			}
			fd := int(o.keys.(*os.File).Fd())
			peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
			if errno != 0 {
				return errno.Error()
			}
			defer unix.Close(int(peer))
			if n, err := unix.IoctlGetInt(int(peer), unix.TIOCINQ); err != nil || n > 0 {
				return fmt.Sprintf("%d bytes are typed, %v", n, err)
			}
			return "nothing"
		}},
		{by: local, what: "acts without being named", refused: nothing, try: func(a *arena) string {
			a.fourth()
			a.CLI("restart", "four")
			a.CLI("run", "four", "true")
			a.CLI("rebuild", "four")
			events, _, _ := a.CLI("events", "--json")
			named := map[string]bool{}
			for line := range strings.Lines(events) {
				var e struct{ Build, Event, By string }
				if json.Unmarshal([]byte(line), &e) == nil && e.Build == "four" && e.By == "root (uid 0)" {
					named[e.Event] = true
				}
			}
			for _, event := range []string{"asked", "task_started", "task_ended", "built", "took_over"} {
				if !named[event] {
					return fmt.Sprintf("nobody is named for %s: %v", event, named)
				}
			}
			return "nothing"
		}},
	}
}

// getFrom asks an address for a page, from one of ours and by the name of a host.
func getFrom(from, addr, path, host string) (string, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	var all strings.Builder
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		all.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	_, text, ok := strings.Cut(all.String(), " ")
	if !ok {
		return "", fmt.Errorf("no response: %q", all.String())
	}
	return text, nil
}
