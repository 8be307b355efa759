package process

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const statLine = "4711 (a) b (c)) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 10 20 18446744073709551615 1 2 3 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 9 8 7 6 5 140000 140100 0\n"

func TestStatIsReadPastAnyName(t *testing.T) {
	t.Parallel()
	got, err := parseStat([]byte(statLine))
	want := stat{pid: 4711, ppid: 1, pgrp: 4711, session: 4711, state: 'S', threads: 3, start: 123456, envStart: 140000}
	if err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	for _, name := range []string{"", ")", "a) R 9 9 9", "\n", strings.Repeat("(", 15)} {
		line := strings.Replace(statLine, "a) b (c)", name, 1)
		if s, err := parseStat([]byte(line)); err != nil || s.start != 123456 {
			t.Errorf("name %q: %+v, %v", name, s, err)
		}
	}
}

func TestBrokenStatIsRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "(", ")", "1 (a", "1 (a)", "1 (a) S", "x (a) S 1 1 1", "1 (a) S -1 1 1",
		strings.Replace(statLine, "123456", "x", 1),
		strings.Replace(statLine, "123456", "99999999999999999999", 1),
		statLine[:60],
	} {
		if s, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q gave %+v", line, s)
		}
	}
}

func TestZombieIsDeadUnlessThreadsLive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    stat
		dead bool
	}{
		{stat{state: 'Z', threads: 1}, true},
		{stat{state: 'Z', threads: 4}, false},
		{stat{state: 'X'}, true},
		{stat{state: 'T', threads: 1}, false},
	} {
		if c.s.dead() != c.dead {
			t.Errorf("%+v is dead: %v", c.s, !c.dead)
		}
	}
}

func TestMarkIsFoundWhereItStands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ, mark string
		found, whole  bool
	}{
		{"", "", false, false},
		{"A=1\x00B=2\x00", "", false, false},
		{"X" + MarkKey + "=no\x00", "", false, false},
		{"A=" + MarkKey + "=no\x00", "", false, false},
		{MarkKey + "=r/b/1\x00A=1\x00", "r/b/1", true, true},
		{"A=1\x00" + MarkKey + "=r/b/1\x00" + MarkKey + "=second\x00", "r/b/1", true, true},
		{"A=1\x00" + MarkKey + "=r/b", "r/b", true, false},
	} {
		mark, found, whole := findTag([]byte(c.environ))
		if string(mark) != c.mark || found != c.found || whole != c.whole {
			t.Errorf("%q: %q %v %v", c.environ, mark, found, whole)
		}
	}
}

func TestEnvironmentLargerThanThePageIsReadWhole(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := Spec{Argv: []string{"/bin/sh", "-c", "exec sleep 1000"}, Mark: ""}
	for range 100 {
		s.Env = append(s.Env, "BIG"+strings.Repeat("x", 500)+"=1")
	}
	s.Env = append(s.Env, MarkKey+"=late/mark/1")
	k := spawn(t, tb, s)
	eventually(t, "the mark is found", func() bool {
		found, err := tb.FindMarked("late/mark/")
		return err == nil && len(found) == 1 && found[0].Pid == k.Pid()
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine))
	f.Add([]byte("1 (a) S 1 1 1"))
	f.Add([]byte("(() ()"))
	if own, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(own)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := parseStat(line)
		if err != nil {
			return
		}
		if s.pid <= 0 || s.ppid < 0 || s.pgrp < 0 || s.session < 0 || s.threads < 0 || s.state == 0 {
			t.Errorf("%q gave %+v", line, s)
		}
	})
}

func FuzzFindMark(f *testing.F) {
	f.Add([]byte(MarkKey + "=r/b/1\x00A=1\x00"))
	f.Add([]byte("A=1\x00" + MarkKey + "="))
	f.Fuzz(func(t *testing.T, environ []byte) {
		mark, found, whole := findTag(environ)
		if bytes.IndexByte(mark, 0) >= 0 || whole && !found || !found && mark != nil {
			t.Errorf("%q gave %q %v %v", environ, mark, found, whole)
		}
		entry := append([]byte(MarkKey+"="), mark...)
		if whole && !bytes.Contains(environ, append(entry, 0)) {
			t.Errorf("%q gave a mark %q that is not in it", environ, mark)
		}
	})
}
