package cron

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Times are those that an expression names, as a calendar and a clock on the wall show them.
type Times struct {
	minutes, hours, days, months, weekdays uint64 // a bit for each number
	// anyDay and anyWeekday say that the field begins with *: then the other one alone says which
	// days are meant. Where neither does, a day of one of them will do.
	anyDay, anyWeekday bool
	// often says that the field of the minutes or the hours begins with *: what is due that often
	// follows the clock, whatever it does.
	often bool
}

// Error is what is wrong with an expression.
type Error struct {
	At  int // how many characters stand before it
	Msg string
}

func (e *Error) Error() string { return e.Msg }

// field is one of the five.
type field struct {
	name      string
	low, high int
	names     []string // of the numbers from low on
}

var fields = []field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// nicknames are what stands for a whole expression.
var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Nicknames are the words that stand for an expression, sorted.
func Nicknames() []string {
	all := make([]string, 0, len(nicknames))
	for name := range nicknames {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Parse reads an expression. The error is an *Error.
func Parse(text string) (Times, error) {
	words, at := split(text)
	if len(words) > 0 && strings.HasPrefix(words[0], "@") {
		whole, ok := nicknames[words[0]]
		switch {
		case words[0] == "@every":
			return Times{}, &Error{at[0], "no @every: use the key every"}
		case words[0] == "@reboot":
			return Times{}, &Error{at[0], "no @reboot: the build's server starts with the machine, and [build.hooks] after_swap runs when it serves"}
		case !ok:
			return Times{}, &Error{at[0], "five fields, or one of " + strings.Join(Nicknames(), " ")}
		case len(words) > 1:
			return Times{}, &Error{at[1], "nothing after " + words[0]}
		}
		words, at = split(whole)
	}
	for i, word := range words {
		if i == 0 && strings.Contains(word, "=") {
			return Times{}, &Error{at[i], "no time zone here: use the key timezone"}
		}
		if i == len(fields) {
			return Times{}, &Error{at[i], "five fields: minute, hour, day of the month, month, day of the week; this is one more"}
		}
	}
	if n := len(words); n < len(fields) {
		return Times{}, &Error{0, fmt.Sprintf("five fields: minute, hour, day of the month, month, day of the week; there %s %d", map[bool]string{true: "is", false: "are"}[n == 1], n)}
	}
	var sets [5]uint64
	for i, f := range fields {
		set, err := f.parse(words[i], at[i])
		if err != nil {
			return Times{}, err
		}
		sets[i] = set
	}
	star := func(i int) bool { return words[i][0] == '*' || words[i][0] == '?' }
	t := Times{
		minutes: sets[0], hours: sets[1], days: sets[2], months: sets[3], weekdays: sets[4],
		anyDay: star(2), anyWeekday: star(4), often: star(0) || star(1),
	}
	if t.weekdays&(1<<7) != 0 { // Sunday is 0 and 7
		t.weekdays = t.weekdays&^(1<<7) | 1
	}
	if t.never() {
		return Times{}, &Error{at[2], "a day that there is in one of the months"}
	}
	return t, nil
}

// split returns the words of a text, and how many characters stand before each.
func split(text string) (words []string, at []int) {
	begun, n := -1, 0
	for i, r := range text + " " {
		switch {
		case r == ' ' || r == '\t':
			if begun >= 0 {
				words = append(words, text[begun:i])
			}
			begun = -1
		case begun < 0:
			begun, at = i, append(at, n)
		}
		n++
	}
	return words, at
}

// parse reads a list of ranges, of which at characters stand before it.
func (f field) parse(text string, at int) (uint64, error) {
	var set uint64
	for one := range strings.SplitSeq(text, ",") {
		some, err := f.ranges(one, at)
		if err != nil {
			return 0, err
		}
		set |= some
		at += len([]rune(one)) + 1
	}
	return set, nil
}

// ranges reads *, a number, or a range, with a step or without.
func (f field) ranges(text string, at int) (uint64, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	wrong := func(after, what string) error {
		return &Error{at + len([]rune(text[:len(text)-len(after)])), fmt.Sprintf("%s: want %s", f.name, what)}
	}
	whole := f.high
	if f.high == 7 {
		whole = 6 // * has every day once, so that its steps are those of 0-6
	}
	low, high := f.low, whole
	if span != "*" && span != "?" {
		first, last, ranged := strings.Cut(span, "-")
		n, ok := f.number(first)
		if !ok {
			return 0, wrong(text, f.wanted(first))
		}
		low = n
		switch {
		case ranged:
			if n, ok = f.number(last); !ok {
				return 0, wrong(text[len(first)+1:], f.wanted(last))
			}
			if n < low && n == 0 && f.high == 7 {
				n = 7 // sat-sun, 5-0
			}
			if high = n; high < low {
				return 0, wrong(text, fmt.Sprintf("a range that ends no earlier than it begins, or two: %s-%s,%s-%s", f.shown(low), f.shown(whole), f.shown(f.low), f.shown(high)))
			}
		case !stepped:
			high = low
		}
	}
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 || n > f.high-f.low+1 || !digits(stepText) {
			return 0, wrong(stepText, fmt.Sprintf("a step from 1 to %d", f.high-f.low+1))
		}
		step = n
	}
	var set uint64
	for n := low; n <= high; n += step {
		set |= 1 << n
	}
	return set, nil
}

// shown is a number as people write it.
func (f field) shown(n int) string {
	if n >= f.low && n-f.low < len(f.names) {
		return f.names[n-f.low]
	}
	return strconv.Itoa(n)
}

// number reads a number or a name of the field.
func (f field) number(text string) (int, bool) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.low + i, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && digits(text) && n >= f.low && n <= f.high
}

func digits(text string) bool { return len(text) <= 2 && strings.Trim(text, "0123456789") == "" }

// wanted says what a number may be.
func (f field) wanted(got string) string {
	if r := []rune(got); len(r) > 20 {
		got = string(r[:19]) + "…"
	}
	names := ""
	if f.names != nil {
		names = fmt.Sprintf(" or %s to %s", f.names[0], f.names[len(f.names)-1])
	}
	return fmt.Sprintf("%d to %d%s, * for all, with commas, ranges such as %d-%d or steps such as */2 between them; it is %q", f.low, f.high, names, f.low+1, f.low+3, got)
}

// never reports whether there is no such day in any year.
func (t Times) never() bool {
	if !t.anyWeekday {
		return false // a week has each of its days, and where both are named one of them will do
	}
	longest := [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for i, days := range longest {
		if t.months&(1<<(i+1)) != 0 && bits.TrailingZeros64(t.days) <= days {
			return false
		}
	}
	return true
}
