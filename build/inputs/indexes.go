package inputs

import (
	"cmp"
	"slices"
	"strings"
)

// Indexes is where an installation looks for packages. Addresses may have passwords in them.
type Indexes struct {
	URLs     []string // none: no index is asked
	Links    []string // addresses and paths that list packages
	Proxy    string   // "": as the environment says
	CA       string   // file with the authorities that are trusted; "": the interpreter's own
	Insecure []string // hosts whose certificates are not checked
}

// publicIndex is where pip looks where it is told nothing else.
const publicIndex = "https://pypi.org/simple"

// Indexes returns what pip would be told: by its settings, the environment, the arguments and the
// requirements, of which the later ones win.
func (r *Reads) Indexes() Indexes {
	var all Indexes
	main, off := publicIndex, false
	take := func(name, value string) {
		switch name {
		case "--index-url", "--pypi-url":
			main = value
		case "--extra-index-url":
			all.URLs = append(all.URLs, strings.Fields(value)...)
		case "--find-links":
			all.Links = append(all.Links, strings.Fields(value)...)
		case "--trusted-host":
			all.Insecure = append(all.Insecure, strings.Fields(value)...)
		case "--proxy":
			all.Proxy = value
		case "--cert":
			all.CA = value
		case "--no-index":
			off = !slices.Contains([]string{"0", "n", "no", "f", "false", "off", ""}, strings.ToLower(value))
		}
	}
	for _, f := range r.Files {
		if f.Settings {
			eachSetting(string(f.Raw), take)
		}
	}
	for _, entry := range r.env {
		name, value, _ := strings.Cut(entry, "=")
		if setting, ok := strings.CutPrefix(name, "PIP_"); ok && value != "" {
			take("--"+strings.ReplaceAll(strings.ToLower(setting), "_", "-"), value)
		}
	}
	options := func(words []string) {
		for _, o := range readArguments(words).options {
			take(o.name, o.value)
		}
		for _, word := range words {
			if strings.HasPrefix(word, "--no-in") && inFull(word) == "--no-index" {
				take("--no-index", "yes")
			}
		}
	}
	options(r.b.PipArgs)
	for _, f := range r.Files {
		for _, line := range f.lines {
			if text := expand(line.text, r.env); strings.HasPrefix(text, "-") {
				options(shellWords(text))
			}
		}
	}
	all.CA = cmp.Or(all.CA, EnvValue(r.env, "REQUESTS_CA_BUNDLE"))
	all.Links, all.Insecure = distinct(all.Links), distinct(all.Insecure)
	if all.URLs = distinct(append([]string{cmp.Or(main, publicIndex)}, all.URLs...)); off {
		all.URLs = nil
	}
	return all
}

// eachSetting calls f with each option that a file of settings for pip sets.
func eachSetting(text string, f func(name, value string)) {
	name, value := "", ""
	done := func() {
		if name != "" {
			f("--"+strings.ReplaceAll(strings.ToLower(name), "_", "-"), strings.TrimSpace(value))
		}
		name, value = "", ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		found := settingLine.FindStringSubmatch(line)
		switch {
		case found != nil:
			done()
			name, value = found[1], found[2]
		case name != "" && strings.TrimLeft(line, " \t") != line:
			value += " " + line
		default:
			done()
		}
	}
	done()
}

// distinct leaves out what is in a list already.
func distinct(all []string) []string {
	var once []string
	for _, one := range all {
		if one = strings.TrimSpace(one); one != "" && !slices.Contains(once, one) {
			once = append(once, one)
		}
	}
	return once
}
