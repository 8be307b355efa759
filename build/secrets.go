package build

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// userinfo is the part of an address in which a password or a token stands.
var userinfo = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*)://([^/\s"']+)@`)

// pipAddresses are the options of pip with an address: as they are called in a requirements file,
// where all but the proxy may stand.
var pipAddresses = map[string]string{
	"-i": "--index-url", "--index-url": "--index-url", "--pypi-url": "--index-url", "--extra-index-url": "--extra-index-url",
	"-f": "--find-links", "--find-links": "--find-links", "-e": "--editable", "--editable": "--editable",
	"-r": "--requirement", "--requirement": "--requirement", "-c": "--constraint", "--constraint": "--constraint", "--proxy": "--proxy",
}

// hideSecrets takes addresses with a password in them out of arguments for pip, which everyone on
// the machine can read in /proc/PID/cmdline. What it took out can stand in a requirements file, or
// as PIP_PROXY in the environment.
func hideSecrets(args []string) (open, hidden []string, proxy string) {
	for i := 0; i < len(args); i++ {
		flag, value, joined := strings.Cut(args[i], "=")
		if long := strings.HasPrefix(flag, "--"); !long && len(flag) > 2 && flag[0] == '-' {
			flag, value, joined = args[i][:2], args[i][2:], true
		} else if !long && flag[:min(len(flag), 1)] != "-" {
			flag, value, joined = "", args[i], true // a requirement
		}
		name := pipAddress(flag)
		if name != "" && !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if name == "" && flag != "" || !userinfo.MatchString(value) {
			open = append(open, args[i])
			continue
		}
		if name == "--proxy" {
			proxy = value
		} else {
			hidden = append(hidden, strings.TrimSpace(name+" "+value))
		}
		if !joined {
			i++
		}
	}
	return open, hidden, proxy
}

// pipAddress returns what an option is called in full: pip takes any beginning of a name (Python,
// optparse).
func pipAddress(flag string) string {
	if name, ok := pipAddresses[flag]; ok || len(flag) < len("--in") {
		return name
	}
	found := ""
	for full, name := range pipAddresses {
		if strings.HasPrefix(full, flag) {
			found = name
		}
	}
	return found
}

// secrets returns the passwords and tokens that the steps are given: in addresses, by pip's
// arguments, the requirements and the environment, and as values of variables that are called so.
func (j *job) secrets() []string {
	return secretsOf(j.env, append(slices.Clip(j.b.PipArgs), j.reads.Texts(j.env)...))
}

// Conceal takes out of a text the passwords and tokens that a program with the environment env was
// given, and what looks like one.
func Conceal(text string, env []string) string { return conceal(text, secretsOf(env, nil)) }

// secretsOf returns the passwords and tokens of an environment, and in the addresses of texts.
func secretsOf(env, texts []string) []string {
	var all []string
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		texts = append(texts, value)
		if namesSecret(name, value) {
			for line := range strings.Lines(value) { // a key is of several
				all = append(all, written(strings.TrimSpace(line))...)
			}
		}
	}
	for _, text := range texts {
		all = append(all, secretsOfAddresses(text)...)
	}
	return sortSecrets(all)
}

// secretNames is what the variables of secrets are called, and notSecret what they are called where
// they only name where one is.
var (
	secretNames = regexp.MustCompile(`(?i)passw|passphrase|pwd|secret|token|credential|api_?key|(?:^|_)(?:pass|key|auth|dsn)(?:$|_)`)
	notSecret   = regexp.MustCompile(`(?i)_(?:file|path|dir|url|host|port|user|name|id|enabled)$|^PWD$|^OLDPWD$`)
)

// secretWords are other words in the names of variables whose values are not shown, although they may
// stand in output: there they would be taken out of too much.
var secretWords = regexp.MustCompile(`(?i)key|salt|sign|cert|private|cookie|session|auth|dsn|conn|hook|(?:^|_)pw(?:$|_)`)

// looksRandom says that a value looks like a token, whatever it is called: one long word of letters
// and digits.
func looksRandom(value string) bool {
	return len(value) >= 20 && !strings.ContainsAny(value, " /.:,") && strings.ContainsAny(value, "0123456789")
}

func namesSecret(name, value string) bool {
	return secretNames.MatchString(name) && !notSecret.MatchString(name) && len(value) >= 2*leastSecret
}

// secretsOfAddresses returns the passwords and tokens in the addresses of a text, as they stand
// there and decoded.
func secretsOfAddresses(text string) []string {
	var all []string
	for _, m := range userinfo.FindAllStringSubmatch(text, -1) {
		scheme, secret := m[1], m[2]
		if isName(scheme, secret) {
			continue
		}
		user, password, ok := strings.Cut(secret, ":")
		switch {
		case ok && (password == "" || password == "x-oauth-basic"): //nolint:gosec // GitHub's form of a token
			secret = user
		case ok:
			secret = password
		}
		all = append(all, secret)
		if plain, err := url.PathUnescape(secret); err == nil {
			all = append(all, plain)
		}
	}
	return all
}

// isName says that what stands before the @ of an address is no secret: the user of an SSH server.
func isName(scheme, held string) bool {
	return !strings.Contains(held, ":") && (strings.Contains(strings.ToLower(scheme), "ssh") || held == "git")
}

// sortSecrets leaves out what is too short to be one, and puts longer ones first: one may hold
// another.
func sortSecrets(all []string) []string {
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < leastSecret })
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	return slices.Compact(all)
}
