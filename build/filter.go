package build

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// filter takes secrets out of a stream of output, line by line.
type filter struct {
	known []string // secrets, longer ones first
	held  []byte   // a line that has not ended yet
}

const (
	hidden = "****"
	// mostLine is how much of a line without an end is held; mostKnown how many secrets are.
	mostLine  = 64 << 10
	mostKnown = 1000
	// leastSecret is how long a secret is at least: what is shorter would be taken out of words.
	leastSecret = 3
)

// take returns, without secrets, what can be said of the stream now that text has come.
func (f *filter) take(text []byte) []byte {
	f.held = append(f.held, text...)
	end := bytes.LastIndexAny(f.held, "\n\r") + 1
	if end == 0 && len(f.held) <= mostLine {
		return nil
	}
	if len(f.held)-end <= mostLine {
		return f.until(end)
	}
	// An endless line. It is cut between two words, so that no secret is cut in two.
	f.held = f.clean(f.held)
	margin := 0
	if len(f.known) > 0 {
		margin = len(f.known[0])
	}
	if cut := bytes.LastIndexAny(f.held[:max(0, len(f.held)-margin)], " \t\n\r"); cut >= end {
		return f.until(cut + 1)
	}
	said := append(f.until(end), "[a word of more than 64 KiB left out here]\n"...)
	f.held = nil
	return said
}

// rest returns what is held, without secrets.
func (f *filter) rest() []byte { return f.until(len(f.held)) }

// until returns the first n bytes of what is held, without secrets.
func (f *filter) until(n int) []byte {
	if n == 0 {
		return nil
	}
	said := f.clean(f.held[:n:n])
	f.held = bytes.Clone(f.held[n:])
	return said
}

func (f *filter) clean(text []byte) []byte {
	f.learn(text)
	return []byte(conceal(string(text), f.known))
}

// learn remembers the passwords of addresses, which may come again without their address.
func (f *filter) learn(text []byte) {
	if !bytes.Contains(text, []byte("://")) {
		return
	}
	for _, secret := range secretsOfAddresses(string(text)) {
		if len(secret) >= 2*leastSecret && !slices.Contains(f.known, secret) && len(f.known) < mostKnown && !strings.Contains(secret, hidden) {
			f.known = sortSecrets(append(slices.Clone(f.known), secret))
		}
	}
}

// conceal takes secrets out of a text: those that are known, and what looks like one.
func conceal(text string, known []string) string {
	for _, secret := range known {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	if strings.Contains(text, "://") {
		text = userinfo.ReplaceAllStringFunc(text, func(address string) string {
			if scheme, held, _ := strings.Cut(address, "://"); !isName(scheme, strings.TrimSuffix(held, "@")) {
				return scheme + "://" + hidden + "@"
			}
			return address
		})
	}
	lower := strings.ToLower(text)
	for _, p := range looksSecret {
		if slices.ContainsFunc(p.words, func(word string) bool { return strings.Contains(lower, word) }) {
			text = p.form.ReplaceAllString(text, "${1}"+hidden)
		}
	}
	return text
}

// looksSecret is what looks like a secret, after what announces it. Only a text with one of its
// words, in small letters, is searched for a form: that is much faster.
var looksSecret = []struct {
	words []string
	form  *regexp.Regexp
}{
	// In an address: ?access_token=…, &X-Amz-Signature=…
	{[]string{"token", "secret", "passw", "pwd", "key", "auth", "sig", "credential"}, regexp.MustCompile(`(?i)([?&;#][\w.-]*(?:token|secret|passw|pwd|key|auth|sig|credential)[\w.-]*=)[^&\s"'<>#;]+`)},
	// A header: Authorization: Basic …; .npmrc: //host/:_authToken=…
	{[]string{"authorization"}, regexp.MustCompile(`(?i)(\bauthorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token|digest)\s+)?)[^\s"',]+`)},
	{[]string{"auth"}, regexp.MustCompile(`(?i)(\b_?auth(?:token)?\s*=\s*)[^\s"',;&]{6,}`)},
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{16,}`)},
	// A data source: host=db password=…
	{[]string{"password=", "passwd=", "pwd="}, regexp.MustCompile(`(?i)((?:\b|_)(?:password|passwd|pwd)=)(?:'[^']*'|"[^"]*"|[^\s"',;&)]+)`)},
	// A variable, an option, and an entry of JSON or of a Python dictionary: what a value looks like
	// after a colon without quotes could be a sentence.
	{[]string{"passw", "secret", "token", "key"}, regexp.MustCompile(`(\b[A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY)(?:_KEY)?=)[^\s"',;]{6,}`)},
	{[]string{"passw", "secret", "token", "key"}, regexp.MustCompile(`(?i)(["'][\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key|access_?key|secret_?key)["']\s*:\s*b?)(?:"(?:[^"\\]|\\.)+"|'(?:[^'\\]|\\.)+')`)},
	{[]string{"--token", "--password", "--secret", "--api-key"}, regexp.MustCompile(`(--(?:token|password|secret|api-key)\s+)[^\s"'-][^\s"']*`)},
	{[]string{"x-api-key", "x-auth-token", "private-token", "set-cookie", "cookie:"}, regexp.MustCompile(`(?i)(\b(?:x-api-key|x-auth-token|private-token|(?:set-)?cookie):\s*)\S[^\r\n]*`)},
	{[]string{"identified by"}, regexp.MustCompile(`(?i)(\bidentified by\s+(?:password\s+)?)(?:'[^']*'|"[^"]*")`)},
	// Tokens of GitHub, GitLab, the package index and AWS.
	{[]string{"gh", "glpat-", "pypi-", "akia"}, regexp.MustCompile(`()\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|pypi-[\w-]{32,}|AKIA[A-Z0-9]{16})`)},
}
