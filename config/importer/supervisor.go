package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/ini.v1"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// addSupervisor reads an ini file of Supervisor's.
func (w *work) addSupervisor(file, text string) {
	f, err := ini.LoadSources(ini.LoadOptions{
		AllowPythonMultilineValues: true, SpaceBeforeInlineComment: true, IgnoreContinuation: true, SkipUnrecognizableLines: true,
		PreserveSurroundedQuote: true, KeyValueDelimiters: "=:",
	}, []byte(text))
	if err != nil {
		w.lose("%s cannot be read as Supervisor's ini file: %s", redact.Plain(file), redact.Shown(err.Error()))
		return
	}
	found := false
	for _, section := range f.Sections() {
		kind, name, _ := strings.Cut(section.Name(), ":")
		switch strings.TrimSpace(kind) {
		case "program":
			found = true
			w.services = append(w.services, w.program(section, file, strings.TrimSpace(name)))
		case "fcgi-program", "eventlistener":
			found = true
			w.lose("[%s] of %s is not taken over: it is started with sockets or events of Supervisor's", redact.Shown(section.Name()), path.Base(file))
		case "include":
			if key, err := section.GetKey("files"); err == nil {
				w.notes = append(w.notes, fmt.Sprintf("%s includes %s: name these files as well", path.Base(file), redact.Shown(key.Value())))
			}
		}
	}
	if !found {
		w.notes = append(w.notes, fmt.Sprintf("%s has no [program:…]", path.Base(file)))
	}
}

// idleKeys are keys of a program that the supervisor needs no equivalent of.
var idleKeys = strings.Fields(`autostart process_name numprocs_start priority startsecs startretries stopasgroup killasgroup redirect_stderr stdout_logfile stdout_logfile_maxbytes stdout_logfile_backups
	stdout_capture_maxbytes stdout_events_enabled stdout_syslog stderr_logfile stderr_logfile_maxbytes stderr_logfile_backups stderr_capture_maxbytes stderr_events_enabled stderr_syslog serverurl`)

var percentS = regexp.MustCompile(`%\((\w+)\)0?\d*[sd]|%%`)

// program turns a [program:NAME] into a service.
func (w *work) program(section *ini.Section, file, name string) *service {
	s := &service{from: path.Base(file) + " [program:" + redact.Plain(name) + "]", name: name, count: 1, stop: 10 * time.Second}
	fill := func(text string) string {
		return percentS.ReplaceAllStringFunc(text, func(found string) string {
			switch key := percentS.FindStringSubmatch(found)[1]; key {
			case "":
				return "%"
			case "program_name", "group_name":
				return name
			case "here":
				return path.Dir(file)
			case "process_num", "host_node_name":
				s.refuse("it uses %s: no key; MEDCTRL_PROCESS_INDEX is the number of an instance", redact.Shown(found))
				return found
			default:
				if strings.HasPrefix(key, "ENV_") && key != "ENV_PATH" {
					s.refuse("it uses %s, of the environment that supervisord was started in: write the value out", redact.Shown(found))
				}
				return "$" + strings.TrimPrefix(key, "ENV_")
			}
		})
	}
	for _, key := range section.Keys() {
		value := strings.TrimSpace(key.Value())
		switch key.Name() {
		case "command":
			words, err := unitfile.SplitWords(fill(value))
			if err != nil {
				s.refuse("its command: %v", err)
			}
			s.words = words
		case "directory":
			s.dir = path.Clean(fill(value))
		case "user":
			s.user = value
		case "umask":
			s.umask = value
		case "numprocs":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 64 {
				s.refuse("numprocs = %s: want 1 to 64", redact.Shown(value))
				continue
			}
			s.count = n
		case "autorestart":
			switch strings.ToLower(value) {
			case "false":
				s.keys = append(s.keys, kv{"restart", `"never"`, ""})
			case "unexpected":
				s.keys = append(s.keys, kv{"restart", `"on-failure"`, ""})
			}
		case "autostart":
			if strings.EqualFold(value, "false") {
				s.keys = append(s.keys, kv{"autostart", "false", ""})
			}
		case "stopsignal":
			if signal := strings.ToUpper(strings.TrimPrefix(value, "SIG")); signal != "TERM" {
				s.own = append(s.own, kv{"stop_signal", tomltext.Text(signal), ""})
			}
		case "stopwaitsecs":
			if n, err := strconv.Atoi(value); err == nil && n > 0 && n <= 3600 {
				s.stop = time.Duration(n) * time.Second
			} else {
				s.stop = time.Hour
			}
		case "exitcodes":
			if value != "0" {
				s.note("exitcodes=%s: no key; only 0 is a good one", redact.Shown(value))
			}
		case "environment":
			s.env = append(s.env, environmentList(fill(value), s)...)
		default:
			if !slices.Contains(idleKeys, key.Name()) {
				s.note("%s: no key", redact.Shown(key.Name()+"="+value))
			}
		}
		if slices.Contains(idleKeys, key.Name()) {
			s.own = append(s.own, kv{"idle", key.Name(), ""})
		}
	}
	if len(s.words) == 0 && len(s.reasons) == 0 {
		s.refuse("%s has no command", s.from)
	}
	return s
}

// environmentList reads A="1",B='2',C=3 as Supervisor does.
func environmentList(text string, s *service) []script.Variable {
	var all []script.Variable
	rest := strings.TrimSpace(text)
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if name = strings.TrimSpace(name); !ok || !envName.MatchString(name) {
			s.refuse("its environment is not NAME=\"value\",…")
			return all
		}
		after = strings.TrimSpace(after)
		value := ""
		if after != "" && (after[0] == '"' || after[0] == '\'') {
			end := strings.IndexByte(after[1:], after[0])
			if end < 0 {
				s.refuse("a quote in its environment is not closed")
				return all
			}
			value, after = after[1:1+end], after[2+end:]
		} else {
			end := strings.IndexAny(after, ",\n")
			if end < 0 {
				end = len(after)
			}
			value, after = strings.TrimSpace(after[:end]), after[end:]
		}
		all = append(all, script.Variable{Name: name, Value: value})
		rest = strings.TrimLeft(after, ", \t\n")
	}
	return all
}
