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
		"cause":       {"before\n" + root + cause + top + "[INFO] after\n", "before\nTraceback (most recent call last):\n" + short + "[INFO] after\n"},
		"context":     {root + during + top, "Traceback (most recent call last):\n" + short},
		"three":       {root + during + middle + cause + top, "Traceback (most recent call last):\n" + short},
		"two chains":  {root + cause + top + root + cause + top, strings.Repeat("Traceback (most recent call last):\n"+short, 2)},
		"not chained": {root + top, strings.Replace(root, "    ^^^^^^^\n", "", 1) + top},
		"alone":       {"x\n" + top + "y\n", "x\n" + top + "y\n"},
		"long message": {strings.Replace(root, "'debug.log'", "'debug.log'\n\tIs it there?\n\nHint", 1) + cause + top,
			"Traceback (most recent call last):\n" + short},
		"the same again": {"Traceback (most recent call last):\n  File \"d.py\"\nMySQLdb.OperationalError: (2002, 'away')\n" + cause +
			"Traceback (most recent call last):\n  File \"e.py\"\ndjango.db.utils.OperationalError: (2002, 'away')\n",
			"Traceback (most recent call last):\n  File \"e.py\"\ndjango.db.utils.OperationalError: (2002, 'away')\n"},
		"no traceback": {causeLine + "\nx\n", causeLine + "\nx\n"},
		"cut off":      {root + cause + "Traceback (most recent call last):\n  File \"c.py\"", "Traceback (most recent call last):\n  File \"c.py\"\ncaused by PermissionError: [Errno 13] Permission denied: 'debug.log'\n"},
		"nothing":      {"", ""},
		"message of several lines": {root + cause + top + "Is it there?\n\tNo.\n[INFO] Worker exiting\n",
			"Traceback (most recent call last):\n" + strings.Replace(short, "caused by", "Is it there?\n\tNo.\ncaused by", 1) + "[INFO] Worker exiting\n"},
		"importing": {"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import_module(x)\n  File \"<frozen importlib._bootstrap>\", line 1206, in _gcd_import\n" +
			"  File \"<frozen importlib._bootstrap_external>\", line 940, in exec_module\nModuleNotFoundError: No module named 'x'\n",
			"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import_module(x)\nModuleNotFoundError: No module named 'x'\n"},
		"running": {"Traceback (most recent call last):\n  File \"<frozen runpy>\", line 291, in run_path\n  File \"/srv/app/a.py\", line 1, in <module>\nValueError: no\n",
			"Traceback (most recent call last):\n  File \"/srv/app/a.py\", line 1, in <module>\nValueError: no\n"},
		"in a library": {"Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/django/x.py\", line 1, in f\n    g()\n  File \"/srv/app/warm.py\", line 2, in <module>\n    json.loads('{')\n" +
			"  File \"/usr/lib/python3.11/json/__init__.py\", line 346, in loads\n    return decode(s)\n  File \"/srv/root/one/venvs/a/lib/python3.11/site-packages/j.py\", line 3, in h\n  File \"<frozen os>\", line 679, in __getitem__\nValueError: no\n",
			"Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/django/x.py\", line 1, in f\n    g()\n  File \"/srv/app/warm.py\", line 2, in <module>\n    json.loads('{')\nValueError: no\n"},
		"only a library": {"Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/django/x.py\", line 1, in f\n    g()\nValueError: no\n",
			"Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/django/x.py\", line 1, in f\n    g()\nValueError: no\n"},
		"a program without a file": {"Traceback (most recent call last):\n  File \"<string>\", line 184, in look\n  File \"/usr/lib/python3/dist-packages/django/x.py\", line 1, in f\n    g()\nValueError: no\n",
			"Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/django/x.py\", line 1, in f\n    g()\nValueError: no\n"},
		"syntax of a library": {"Traceback (most recent call last):\n  File \"/srv/app/a.py\", line 1, in <module>\n    import bad\n  File \"/v/site-packages/x.py\", line 1, in <module>\n    import bad\n  File \"/v/site-packages/bad.py\", line 1\n    def x(\nSyntaxError: no\n",
			"Traceback (most recent call last):\n  File \"/srv/app/a.py\", line 1, in <module>\n    import bad\n  File \"/v/site-packages/bad.py\", line 1\n    def x(\nSyntaxError: no\n"},
		"syntax": {"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import bad\n  File \"bad.py\", line 1\n    def x(\n         ^\nSyntaxError: '(' was never closed\n",
			"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import bad\n  File \"bad.py\", line 1\n    def x(\nSyntaxError: '(' was never closed\n"},
		"group": {`  + Exception Group Traceback (most recent call last):
  |   File "g.py", line 18, in <module>
  |     raise ExceptionGroup("two things", errs)
  | ExceptionGroup: two things (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "g.py", line 4, in f
    |     raise KeyError("inner")
    | KeyError: 'inner'
    | ` + `
    | The above exception was the direct cause of the following exception:
    | ` + `
    | Traceback (most recent call last):
    |   File "g.py", line 13, in <module>
    |     try: g()
    |          ^^^
    | ValueError: outer
    +---------------- 2 ----------------
    | Exception Group Traceback (most recent call last):
    |   File "g.py", line 16, in <module>
    | ExceptionGroup: within (1 sub-exception)
    +-+---------------- 1 ----------------
      | FileNotFoundError: [Errno 2] No such file or directory: 'x'
      +------------------------------------
after
`, `Traceback (most recent call last):
  File "g.py", line 18, in <module>
    raise ExceptionGroup("two things", errs)
ExceptionGroup: two things (2 sub-exceptions)

Traceback (most recent call last):
  File "g.py", line 13, in <module>
    try: g()
ValueError: outer
caused by KeyError: 'inner'

Traceback (most recent call last):
  File "g.py", line 16, in <module>
ExceptionGroup: within (1 sub-exception)

FileNotFoundError: [Errno 2] No such file or directory: 'x'

after
`},
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
