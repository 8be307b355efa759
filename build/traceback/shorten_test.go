package traceback

import (
	"slices"
	"strings"
	"testing"
)

func TestLastCauseOfAChainIsShown(t *testing.T) {
	t.Parallel()
	const (
		root   = "Traceback (most recent call last):\n  File \"a.py\", line 1, in open\n    open(x)\n    ^^^^^^^\nPermissionError: [Errno 13] Permission denied: 'debug.log'\n"
		middle = "Traceback (most recent call last):\n  File \"b.py\", line 2, in f\nKeyError: 'x'\n"
		top    = "Traceback (most recent call last):\n  File \"c.py\", line 3, in <module>\nValueError: Unable to configure handler 'file'\n"
		cause  = "\n" + causeLine + "\n\n"
		during = "\n" + contextLine + "\n\n"
		short  = "  File \"c.py\", line 3, in <module>\nValueError: Unable to configure handler 'file'\ncaused by PermissionError: [Errno 13] Permission denied: 'debug.log'\n"
	)
	for name, c := range map[string]struct{ text, want string }{
		"cause":       {"before\n" + root + cause + top + "after\n", "before\nTraceback (most recent call last):\n" + short + "after\n"},
		"context":     {root + during + top, "Traceback (most recent call last):\n" + short},
		"three":       {root + during + middle + cause + top, "Traceback (most recent call last):\n" + short},
		"two chains":  {root + cause + top + root + cause + top, strings.Repeat("Traceback (most recent call last):\n"+short, 2)},
		"not chained": {root + top, root + top},
		"alone":       {"x\n" + top + "y\n", "x\n" + top + "y\n"},
		"long message": {strings.Replace(root, "'debug.log'", "'debug.log'\n\tIs it there?\n\nHint", 1) + cause + top,
			"Traceback (most recent call last):\n" + short},
		"the same again": {"Traceback (most recent call last):\n  File \"d.py\"\nMySQLdb.OperationalError: (2002, 'away')\n" + cause +
			"Traceback (most recent call last):\n  File \"e.py\"\ndjango.db.utils.OperationalError: (2002, 'away')\n",
			"Traceback (most recent call last):\n  File \"e.py\"\ndjango.db.utils.OperationalError: (2002, 'away')\n"},
		"no traceback": {causeLine + "\nx\n", causeLine + "\nx\n"},
		"cut off":      {root + cause + "Traceback (most recent call last):\n  File \"c.py\"", "Traceback (most recent call last):\n  File \"c.py\"\ncaused by PermissionError: [Errno 13] Permission denied: 'debug.log'\n"},
		"nothing":      {"", ""},
	} {
		lines := func(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }
		if got := Shorten(lines(c.text)); !slices.Equal(got, lines(c.want)) {
			t.Errorf("%s: %s\nwant: %s", name, strings.Join(got, "\n"), c.want)
		}
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("Traceback (most recent call last):\n  x\nE: a\n\n" + causeLine + "\n\nTraceback (most recent call last):\n  y\nF: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		if got := Shorten(lines); len(got) > 2*len(lines) {
			t.Errorf("%d lines became %d", len(lines), len(got))
		}
	})
}
