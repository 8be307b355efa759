package redact

import (
	"regexp"
	"strings"
)

var (
	// secretNames is what variables and options of secrets are called, notSecret those that only say
	// where one is or how it is used.
	secretNames = regexp.MustCompile(`(?i)passw|passphrase|pwd|secret|token|credential|salt|private_?key|api_?key|access_?key|(?:^|[_-])(?:pass|key|auth|dsn|pw)(?:$|[_-])`)
	notSecret   = regexp.MustCompile(`(?i)[_-](?:file|path|dir|url|host|port|user|name|id|enabled|age|lifetime|timeout|validators)$|^PWD$|^OLDPWD$`)
	// inAddress is a password in an address.
	inAddress = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^/\s"'@]*:[^/\s"']+@`)
	// switches are values that are no secret, whatever they are of.
	switches = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|none|null|0|1)$`)
	// tokenInAddress is a secret in an address's query or a webhook's path.
	tokenInAddress = regexp.MustCompile(`(?i)[?&][a-z_-]*(?:key|token|secret|passw(?:or)?d|sig(?:nature)?)=|hooks\.slack\.com/|sentry\.io|://[0-9a-f]{32}@`)
)

// IsSecret reports whether the value of a variable or option may be one. Better one too many: what is
// one has to be put into a file by hand, what is taken for none is printed.
func IsSecret(name, value string) bool {
	switch {
	case value == "", switches.MatchString(value):
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

// SecretsIn reports whether a command has what may be a secret, in an option or an address.
func SecretsIn(words []string) bool {
	before := ""
	for _, word := range words {
		name, value, joined := strings.Cut(word, "=")
		switch {
		case inAddress.MatchString(word), tokenInAddress.MatchString(word):
			return true
		case joined && IsSecret(strings.TrimLeft(name, "-"), value):
			return true
		case strings.HasPrefix(before, "--") && !strings.Contains(before, "=") && !strings.HasPrefix(word, "-") && IsSecret(strings.TrimLeft(before, "-"), word):
			return true
		}
		before = word
	}
	return false
}

// headers are of requests.
var headers = regexp.MustCompile(`(?i)^(bearer|basic|authorization|cookie)$`)

// tellers are programs whose short options have passwords, mysql -pPASSWORD.
var tellers = regexp.MustCompile(`(^|/)(mysql\w*|mariadb\w*|psql|mongo\w*|redis-cli|curl|wget|sshpass|ldap\w+|smbclient|lftp|aws|vault|http|https)["']?$`)

// hidden is a text without what may be a secret in it.
func hidden(text string) string {
	words := strings.Fields(text)
	next := false // whether the word before says that this one is a secret
	until := ""   // the quote that a secret of several words ends with
	for i, word := range words {
		if until != "" {
			words[i] = "***"
			if strings.Contains(word, until) {
				until = ""
			}
			continue
		}
		name, value, sep := word, "", strings.IndexAny(word, "=:")
		if sep > 0 {
			name, value = word[:sep], word[sep+1:]
		}
		bare := strings.Trim(name, "-\"'(){}[],;$«»")
		named := secretNames.MatchString(bare) && !notSecret.MatchString(bare) || headers.MatchString(bare)
		if next && (bare == "=" || bare == ":" || headers.MatchString(bare)) {
			continue // the secret is behind it: password = x, Authorization: Bearer x
		}
		switch {
		case next, named && value != "":
			if sep > 0 && !next {
				words[i] = word[:sep+1] + "***"
			} else {
				words[i] = "***"
			}
			next = false
			for _, quote := range []string{`"`, "'"} {
				if strings.Count(word, quote)%2 == 1 {
					until = quote
				}
			}
		case inAddress.MatchString(word):
			words[i] = inAddress.ReplaceAllString(word, "$1***@")
		case tokenInAddress.MatchString(word), looksRandom(strings.Trim(word, `"',;`)), sep > 0 && IsSecret(bare, strings.Trim(value, `"',;`)):
			words[i] = "***"
		case named:
			next = true
		case tellers.MatchString(word):
			return strings.Join(append(words[:i+1], "…"), " ")
		}
	}
	return strings.Join(words, " ")
}
