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
var userinfo = regexp.MustCompile(`([a-z][a-z+]*)://([^/\s"']+)@`)

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

// secrets returns the passwords and tokens in the addresses that pip is given: by its arguments, by
// the requirements and by the environment.
func (j *job) secrets() []string {
	texts := append([]string(nil), j.b.PipArgs...)
	for _, entry := range j.env {
		if strings.HasPrefix(entry, "PIP_") || strings.HasPrefix(entry, "UV_") {
			texts = append(texts, entry)
		}
	}
	for _, f := range j.reads.files {
		texts = append(texts, expand(decode(f.raw), j.env))
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

// redact overwrites secrets in a log from offset on, in place: the log is open in processes of
// which each appends to it.
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
