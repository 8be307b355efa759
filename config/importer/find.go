package importer

import (
	"path"
	"slices"
	"strings"
)

// Find returns the files on a machine that serve Django projects: units, programs of Supervisor's,
// crontabs.
func Find(m Machine) []File {
	var all []File
	for _, pattern := range []string{
		"/etc/systemd/system/*.service", "/etc/supervisor/conf.d/*.conf", "/etc/supervisord.d/*.ini", "/etc/supervisord.conf", "/etc/cron.d/*",
	} {
		for _, file := range m.Glob(pattern) {
			raw, err := m.ReadFile(file)
			if err != nil || strings.Contains(path.Base(file), "medctrl-supervisor") {
				continue
			}
			text, err := textOf(raw)
			words := []string{"gunicorn", "manage.py", "uvicorn", "daphne", "hypercorn", "waitress-serve", "celery"}
			if strings.HasPrefix(pattern, "/etc/cron") {
				words = []string{"manage.py"}
			}
			if err == nil && slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) }) {
				all = append(all, File{Path: file})
			}
		}
	}
	return all
}
