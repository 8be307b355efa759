package importer

import (
	"regexp"
	"strings"
)

var (
	// secretNames is what variables and options of secrets are called, notSecret those that only say
	// where one is or how it is used.
	secretNames = regexp.MustCompile(`(?i)passw|passphrase|pwd|secret|token|credential|salt|private|api_?key|access_?key|(?:^|[_-])(?:pass|key|auth|dsn|pw)(?:$|[_-])`)
	notSecret   = regexp.MustCompile(`(?i)[_-](?:file|path|dir|url|host|port|user|name|id|enabled|age|lifetime|timeout|validators)$|^PWD$|^OLDPWD$`)
	// inAddress is a password in an address.
	inAddress = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^/\s"'@]*:[^/\s"']+@`)
	// tokenInAddress is a secret in an address's query or a webhook's path.
	tokenInAddress = regexp.MustCompile(`(?i)[?&][a-z_-]*(?:key|token|secret|passw(?:or)?d|sig(?:nature)?)=|hooks\.slack\.com/|sentry\.io|://[0-9a-f]{32}@`)
	// assigned is NAME=VALUE and --name VALUE somewhere in a text.
	assigned = regexp.MustCompile(`([A-Za-z_][\w-]*)(\s*[=:]\s*|\s+)("[^"]*"?|'[^']*'?|[^\s"']+)`)
)

// isSecret reports whether the value of a variable or option may be one. Better one too many: what is
// one has to be put into a file by hand, what is taken for none is printed.
func isSecret(name, value string) bool {
	switch {
	case value == "":
		return false
	case inAddress.MatchString(value), tokenInAddress.MatchString(value):
		return true
	case secretNames.MatchString(name) && !notSecret.MatchString(name):
		return true
	}
	return looksRandom(value)
}

// looksRandom says that a value looks like a token, whatever it is called: one long word of letters
// of both kinds, or hexadecimal ones, and digits.
func looksRandom(value string) bool {
	if len(value) < 20 || strings.ContainsAny(value, " /.:,") || !strings.ContainsAny(value, "0123456789") {
		return false
	}
	return strings.ToLower(value) != value || !strings.ContainsAny(value, "_-")
}

// secretsIn reports whether a command has what may be a secret, in an option or an address.
func secretsIn(words []string) bool {
	for i, word := range words {
		name, value, joined := strings.Cut(word, "=")
		switch {
		case inAddress.MatchString(word), tokenInAddress.MatchString(word):
			return true
		case joined && isSecret(strings.TrimLeft(name, "-"), value):
			return true
		case i > 0 && strings.HasPrefix(words[i-1], "--") && !strings.Contains(words[i-1], "=") && !strings.HasPrefix(word, "-") && isSecret(strings.TrimLeft(words[i-1], "-"), word):
			return true
		}
	}
	return false
}

// hidden is a text without what may be a secret in it.
func hidden(text string) string {
	text = inAddress.ReplaceAllString(text, "$1***@")
	text = assigned.ReplaceAllStringFunc(text, func(found string) string {
		m := assigned.FindStringSubmatch(found)
		if secretNames.MatchString(m[1]) && !notSecret.MatchString(m[1]) || strings.TrimSpace(m[2]) != "" && isSecret(m[1], strings.Trim(m[3], `"'`)) {
			return m[1] + m[2] + "***"
		}
		return found
	})
	words := strings.Fields(text)
	for i, word := range words {
		if looksRandom(strings.Trim(word, `"'`)) || tokenInAddress.MatchString(word) {
			words[i] = "***"
		}
	}
	return strings.Join(words, " ")
}
