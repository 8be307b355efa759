package build

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// userinfo is the part of an address in which a password or a token stands.
var userinfo = regexp.MustCompile(`([a-z][a-z+]*)://([^/\s"'@]+)@`)

// hideSecrets takes options with a password in them out of arguments for pip,
// which everyone on the machine can read in /proc/PID/cmdline. What it took out
// can stand in a requirements file.
func hideSecrets(args []string) (open, hidden []string) {
	flags := map[string]string{
		"-i": "--index-url", "--index-url": "--index-url", "--extra-index-url": "--extra-index-url",
		"-f": "--find-links", "--find-links": "--find-links",
	}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		long, ok := flags[name]
		if ok && !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if !ok || !userinfo.MatchString(value) {
			open = append(open, args[i])
			continue
		}
		hidden = append(hidden, long+" "+value)
		if !joined {
			i++
		}
	}
	return open, hidden
}

// secrets answers the passwords and tokens in the addresses that pip is given:
// by its arguments, by the requirements and by the environment.
func (j *job) secrets() []string {
	texts := append([]string(nil), j.b.PipArgs...)
	for _, entry := range j.env {
		if strings.HasPrefix(entry, "PIP_") || strings.HasPrefix(entry, "UV_") {
			texts = append(texts, entry)
		}
	}
	for _, path := range RequirementFiles(j.b) {
		if text, err := os.ReadFile(path); err == nil {
			texts = append(texts, expand(string(text), j.env))
		}
	}
	var all []string
	for _, text := range texts {
		for _, m := range userinfo.FindAllStringSubmatch(text, -1) {
			secret := m[2]
			if _, password, ok := strings.Cut(m[2], ":"); ok {
				secret = password
			} else if strings.Contains(m[1], "ssh") || m[2] == "git" {
				continue // a name
			}
			all = append(all, secret)
			if plain, err := url.PathUnescape(secret); err == nil {
				all = append(all, plain)
			}
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < 3 })
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // one may hold another
	return slices.Compact(all)
}

var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)

// expand puts environment variables into a requirements file, as pip does.
func expand(text string, env []string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		return cmp.Or(envValue(env, name[2:len(name)-1]), name)
	})
}

// redact overwrites secrets in a log from offset on, in place: the log is open
// in processes of which each appends to it.
func redact(path string, offset int64, secrets []string) error {
	if len(secrets) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // pwrite(2) would append with O_APPEND
	if err != nil {
		return fmt.Errorf("take passwords out of the build log: %w", err)
	}
	defer f.Close() // what was written is checked below
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("take passwords out of the build log: %w", err)
	}
	text := make([]byte, max(info.Size()-offset, 0))
	n, _ := f.ReadAt(text, offset) // what could not be read is not shown either
	clean := text[:n]
	for _, s := range secrets {
		clean = bytes.ReplaceAll(clean, []byte(s), bytes.Repeat([]byte("*"), len(s)))
	}
	if _, err := f.WriteAt(clean, offset); err != nil {
		return fmt.Errorf("take passwords out of the build log: %w", err)
	}
	return nil
}
