package importer

import (
	"path"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
)

// isProcfile reports whether every line is NAME: COMMAND.
func isProcfile(text string) bool {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !procLine.MatchString(line) {
			return false
		}
		n++
	}
	return n > 0
}

// addProcfile reads the processes of a Procfile: web is the server, release what is done before.
func (w *work) addProcfile(file, text string) {
	dir := path.Dir(file)
	if !path.IsAbs(file) {
		dir = ""
	}
	base := path.Base(file)
	var web *service
	var release []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := procLine.FindStringSubmatch(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case m == nil:
			w.notes = append(w.notes, base+": the line «"+redact.Shown(line)+"» is no NAME: COMMAND")
			continue
		case m[1] == "release":
			release = append(release, m[2])
			continue
		}
		s := &service{from: base + " " + m[1], name: m[1], dir: dir, words: []string{"sh", "-c", m[2]}, count: 1, endless: true}
		if m[1] == "web" && dir != "" {
			s.name = path.Base(dir)
			web = s
		}
		w.services = append(w.services, s)
	}
	for _, text := range release {
		sc, err := script.Read(text, dir, nil)
		switch {
		case err != nil:
			w.lose("release of %s: %v", base, err)
		case web == nil:
			w.notes = append(w.notes, base+": release: «"+redact.Shown(text)+"» belongs to [build.steps]")
		default:
			for _, c := range sc.Commands {
				web.pre = append(web.pre, c.Words)
			}
		}
	}
}
