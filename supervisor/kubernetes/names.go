package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// The longest names: of most objects, and of a CronJob, whose Jobs have eleven characters more.
const (
	longestName    = 63
	longestCronJob = 52
)

// name returns a name for an object of a kind: what is wanted as far as Kubernetes takes it, and
// another one for each object.
func (w *writer) name(kind, want string, longest int) string {
	base := dns(want)
	if len(base) > longest {
		sum := sha256.Sum256([]byte(want))
		base = strings.TrimRight(base[:longest-9], "-") + "-" + hex.EncodeToString(sum[:4])
	}
	name := base
	for n := 2; w.taken[kind+" "+name]; n++ {
		end := "-" + strconv.Itoa(n)
		name = strings.TrimRight(base[:min(len(base), longest-len(end))], "-") + end
	}
	w.taken[kind+" "+name] = true
	return name
}

// dns makes a text a label of the DNS that begins with a letter, as a Service's name has to (RFC 1035).
func dns(text string) string {
	text = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, text), "-")
	if text == "" || text[0] >= '0' && text[0] <= '9' {
		text = strings.TrimRight("b-"+text, "-")
	}
	return text
}
