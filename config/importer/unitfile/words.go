package unitfile

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
)

// SplitWords splits a value as systemd does (systemd.syntax(7)): at white space, with quotes and C's
// escapes.
func SplitWords(text string) ([]string, error) {
	var all []string
	var word strings.Builder
	in, begun := byte(0), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			n, piece := Unescape(text[i+1:])
			word.WriteString(piece)
			i, begun = i+n, true
		case in != 0 && c == in:
			in = 0
		case in == 0 && (c == '"' || c == '\''):
			in, begun = c, true
		case in == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if begun {
				all = append(all, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if in != 0 {
		return nil, fmt.Errorf("a quote, %c, is not closed", in)
	}
	if begun {
		all = append(all, word.String())
	}
	return all, nil
}

// Unescape reads what follows a backslash, and returns how many bytes that are. An escape that there
// is not stays as it is.
func Unescape(text string) (n int, piece string) {
	if at := strings.IndexByte(`abfnrtv\"'s `, text[0]); at >= 0 {
		return 1, []string{"\a", "\b", "\f", "\n", "\r", "\t", "\v", `\`, `"`, `'`, " ", " "}[at]
	}
	digits, base := 0, 16
	switch {
	case text[0] == 'x':
		digits = 2
	case text[0] == 'u':
		digits = 4
	case text[0] == 'U':
		digits = 8
	case text[0] >= '0' && text[0] <= '7':
		digits, base = 3, 8
	}
	from := 1
	if base == 8 {
		from = 0
	}
	if digits == 0 || len(text) < from+digits {
		return 1, `\` + text[:1]
	}
	code, err := strconv.ParseUint(text[from:from+digits], base, 32)
	if err != nil || code == 0 {
		return 1, `\` + text[:1]
	}
	if digits > 3 {
		return from + digits, string(rune(code))
	}
	return from + digits, string([]byte{byte(code)})
}

// Specifiers fills in %i and the like in a value of a unit (systemd.unit(5)).
type Specifiers struct{ Name, Instance, Home, User string }

func (s Specifiers) Fill(text string) (string, error) {
	if !strings.Contains(text, "%") {
		return text, nil
	}
	base := strings.TrimSuffix(s.Name, path.Ext(s.Name))
	prefix, _, template := strings.Cut(base, "@")
	if template {
		base = prefix + "@" + s.Instance
	}
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch c := text[i]; c {
		case '%':
			b.WriteByte('%')
		case 'i':
			b.WriteString(s.Instance)
		case 'I':
			b.WriteString(unit.UnitNameUnescape(s.Instance))
		case 'n':
			b.WriteString(base + path.Ext(s.Name))
		case 'N':
			b.WriteString(base)
		case 'p':
			b.WriteString(prefix)
		case 'P':
			b.WriteString(unit.UnitNameUnescape(prefix))
		case 'j':
			b.WriteString(last)
		case 'J':
			b.WriteString(unit.UnitNameUnescape(last))
		case 'f':
			of := prefix
			if s.Instance != "" {
				of = s.Instance
			}
			b.WriteString("/" + strings.TrimPrefix(unit.UnitNameUnescape(of), "/"))
		case 'h':
			b.WriteString(s.Home)
		case 'u':
			b.WriteString(s.User)
		case 't':
			b.WriteString("/run")
		case 'S':
			b.WriteString("/var/lib")
		case 'C':
			b.WriteString("/var/cache")
		case 'L':
			b.WriteString("/var/log")
		case 'E':
			b.WriteString("/etc")
		case 'T':
			b.WriteString("/tmp")
		case 'V':
			b.WriteString("/var/tmp")
		default:
			return "", fmt.Errorf("%%%s in %q depends on the machine and the moment", redact.Plain(text[i:i+1]), redact.Shown(text))
		}
	}
	return b.String(), nil
}

var (
	wholeVariable = regexp.MustCompile(`^\$([A-Za-z_]\w*)$`)
	braceVariable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_]\w*)\}`)
)

// FillVariables fills in the variables of a command as systemd does: a word $NAME is split at white
// space, ${NAME} is not (systemd.service(5)). wanted are those that get has not.
func FillVariables(words []string, get func(string) (string, bool)) (filled, wanted []string) {
	for i, word := range words {
		if m := wholeVariable.FindStringSubmatch(word); m != nil && i > 0 {
			value, ok := get(m[1])
			if !ok {
				wanted = append(wanted, m[1])
			}
			more, err := SplitWords(value)
			if err != nil {
				more = []string{value}
			}
			filled = append(filled, more...)
			continue
		}
		filled = append(filled, braceVariable.ReplaceAllStringFunc(word, func(found string) string {
			if found == "$$" {
				return "$"
			}
			name := found[2 : len(found)-1]
			value, ok := get(name)
			if !ok {
				wanted = append(wanted, name)
			}
			return value
		}))
	}
	return filled, wanted
}
