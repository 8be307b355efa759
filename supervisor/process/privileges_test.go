package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// capabilityBit reports whether our own effective set has a capability.
func capabilityBit(t *testing.T, bit int) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets capabilitySets
	if err := unix.Capget(&header, &sets[0]); err != nil {
		t.Fatal(err)
	}
	return sets[bit/32].Effective&(1<<(bit%32)) != 0
}

func TestTreeWithoutCapabilitiesHasNoneAndCanGetNone(t *testing.T) {
	t.Parallel()
	users := map[string]*Credential{"our own user": nil}
	if os.Geteuid() == 0 {
		users["another user"] = &Credential{UID: 65101, GID: 65101}
	}
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
	if capabilityBit(t, unix.CAP_SETPCAP) {
		sets = append(sets, "CapBnd")
	}
	eachWay(t, func(t *testing.T, tb *Table) {
		for name, user := range users {
			s := sh(t, `cat /proc/self/status`)
			s.Dir, s.User, s.NoCapabilities, s.NoNewPrivs = "/", user, true, true
			s.Log = filepath.Join(t.TempDir(), "log")
			if e := spawn(t, tb, s).wait(); !e.Clean() {
				t.Fatal(name, e)
			}
			status := strings.Join(lines(t, s.Log), "\n")
			for _, set := range sets {
				if !strings.Contains(status, set+":\t0000000000000000") {
					t.Errorf("%s: %s is not empty in\n%s", name, set, status)
				}
			}
			if !strings.Contains(status, "NoNewPrivs:\t1") {
				t.Errorf("%s: it may gain privileges", name)
			}
		}
	})
}

func TestTreeDumpsNoCoreUnlessALimitSaysSo(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		for _, c := range []struct {
			limits      []Rlimit
			core, files string // soft and hard limit; "": whatever it is
		}{
			{nil, "0 0", ""},
			{[]Rlimit{{Resource: unix.RLIMIT_CORE, Cur: 512, Max: 2048}}, "512 2048", ""},
			{[]Rlimit{{Resource: unix.RLIMIT_NOFILE, Cur: 100, Max: 101}}, "0 0", "100 101"},
		} {
			s := sh(t, `sed -n 's/^Max core file size *\([0-9]*\) *\([0-9]*\) .*/\1 \2/p' /proc/self/limits > core
				sed -n 's/^Max open files *\([0-9]*\) *\([0-9]*\) .*/\1 \2/p' /proc/self/limits > files`)
			s.Rlimits = c.limits
			if e := spawn(t, tb, s).wait(); !e.Clean() {
				t.Fatal(e)
			}
			core, files := lines(t, filepath.Join(s.Dir, "core"))[0], lines(t, filepath.Join(s.Dir, "files"))[0]
			if core != c.core || c.files != "" && files != c.files {
				t.Errorf("with limits %v: core %q, files %q", c.limits, core, files)
			}
		}
	})
}

func TestLimitAboveOurOwnIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, "true")
		s.Rlimits = []Rlimit{{Resource: unix.RLIMIT_NOFILE, Cur: 2, Max: 1}} // no one may
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), "set its limits: invalid argument") {
			t.Errorf("error is %v", err)
		}
	})
}

// The supervisor goes last where memory runs out.
func TestTreeIsKilledForMemoryBeforeUs(t *testing.T) {
	t.Parallel()
	own := ownOOM()
	eachWay(t, func(t *testing.T, tb *Table) {
		for more, want := range map[int]int{0: own, 50: max(own, 0) + 50, 5000: highestOOM} {
			s := sh(t, `cat /proc/self/oom_score_adj > out`)
			s.OOM = more
			if e := spawn(t, tb, s).wait(); !e.Clean() {
				t.Fatal(e)
			}
			if got := lines(t, filepath.Join(s.Dir, "out"))[0]; got != strconv.Itoa(want) {
				t.Errorf("with %d it is %s, want %d", more, got, want)
			}
		}
		if now := ownOOM(); now != own {
			t.Errorf("ours was %d and is %d now", own, now)
		}
	})
	for _, c := range []struct {
		own, more int
		want      string
	}{{-900, 50, "50"}, {0, 0, ""}, {990, 50, "1000"}, {100, 50, "150"}} {
		if got := string(oomText(c.own, c.more)); got != c.want {
			t.Errorf("%d more than %d is %q, want %q", c.more, c.own, got, c.want)
		}
	}
}

func BenchmarkStartOne(b *testing.B) {
	for name, humble := range map[string]bool{"plain": false, "without privileges": true} {
		b.Run(name, func(b *testing.B) {
			tb := newTable(b)
			s := Spec{Argv: []string{"/bin/true"}, Dir: "/", Umask: 0o022, Mark: fmt.Sprintf("bench/%s/1", name)}
			if humble {
				s.NoNewPrivs, s.NoCapabilities, s.OOM = true, true, 50
				if os.Geteuid() == 0 {
					s.User = &Credential{UID: 65101, GID: 65101}
				}
			}
			for b.Loop() {
				k, err := tb.Spawn(s, nil)
				if err != nil {
					b.Fatal(err)
				}
				<-k.Done()
			}
		})
	}
}
