package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
	"github.com/medctrl/medctrl-supervisor/config/importer/unitfile"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// idleOptions are options of units that the supervisor needs no equivalent of.
var idleOptions = strings.Fields(`Description Documentation After Before Wants Requires BindsTo PartOf Requisite ReloadPropagatedFrom PropagatesReloadTo StopPropagatedFrom WantedBy RequiredBy Also Alias
	DefaultInstance DefaultDependencies StartLimitInterval StartLimitIntervalSec StartLimitBurst StartLimitAction AllowIsolate RefuseManualStart IgnoreOnIsolate CollectMode SourcePath
	Type NotifyAccess ExecReload KillMode SendSIGKILL PIDFile GuessMainPID RemainAfterExit RestartForceExitStatus RestartPreventExitStatus SuccessExitStatus TimeoutStartSec TimeoutSec
	StandardOutput StandardError StandardInput SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix LogLevelMax
	Sockets NonBlocking FileDescriptorStoreMax RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve MemoryAccounting CPUAccounting TasksAccounting IOAccounting BlockIOAccounting IPAccounting
	Delegate PermissionsStartOnly OOMPolicy FinalKillSignal TimeoutAbortSec ExitType ExecSearchPath RestartMode`)

// reasonsWhy says of options without a key why there is none, or what there is.
var reasonsWhy = map[string]string{ //nolint:gosec // names of keys, and no credentials
	"ExecStop": "the supervisor ends what it starts by SIGTERM", "ExecStopPost": "no key; [build.hooks] has commands for what happens", "ExecStartPost": "no key; after_swap in [build.hooks] runs when a release serves",
	"ExecCondition": "no key", "WatchdogSec": "the health probe, [build.health], replaces what hangs", "RuntimeMaxSec": "no key", "OnFailure": "on_failure in [build.hooks] calls a command",
	"Nice": "no key", "IOSchedulingClass": "no key", "IOSchedulingPriority": "no key", "CPUSchedulingPolicy": "no key", "CPUWeight": "no key; cpu in [build.limits] is a bound", "CPUShares": "no key; cpu in [build.limits] is a bound",
	"IOWeight": "no key", "MemoryHigh": "the kernel slows a build down at 90 % of memory in [build.limits]", "MemoryLow": "no key", "MemorySwapMax": "a build with memory in [build.limits] uses no swap",
	"OOMScoreAdjust": "builds are killed before the supervisor", "LimitNPROC": "no key; tasks in [build.limits] is a bound for each build", "CPUAffinity": "no key", "AllowedCPUs": "no key", "Slice": "no key", "KillSignal": "gunicorn gets SIGTERM",
	"PrivateTmp": "TMPDIR is a folder of the build's own", "SupplementaryGroups": "no key; the user's own groups are set", "PAMName": "no key", "RootDirectory": "no key", "RootImage": "no key",
	"StateDirectory": "/var/lib/NAME stays as it is, for its owner; MEDCTRL_DATA is a folder that the supervisor makes", "CacheDirectory": "what is in /var/cache stays as it is, for its owner", "LogsDirectory": "what is in /var/log stays as it is, for its owner", "ConfigurationDirectory": "what is in /etc stays as it is",
	"PassEnvironment": "name them in pass_env, and have the supervisor's own unit pass them on too, or put the values into env_file", "UnsetEnvironment": "nothing is passed on that could be unset", "AmbientCapabilities": "builds have no capabilities, unless no_new_privs = false and no user",
	"CapabilityBoundingSet": "builds have no capabilities", "SecureBits": "builds have no capabilities", "LoadCredential": "no key: put it into env_file", "SetCredential": "no key: put it into env_file", "LoadCredentialEncrypted": "no key: put it into env_file",
	"TTYPath": "no key", "UtmpIdentifier": "no key", "Conflicts": "no key", "JoinsNamespaceOf": "no key", "Personality": "no key", "LimitMEMLOCK": "no key", "LimitAS": "no key; memory in [build.limits]", "LimitRSS": "no key; memory in [build.limits]", "LimitFSIZE": "no key", "LimitSTACK": "no key",
}

// boxed are options that confine, for which [build.sandbox] is there.
var boxed = regexp.MustCompile(`^(Protect|Private|Restrict|ReadWrite|ReadOnly|Inaccessible|Exec(Paths)|NoExecPaths|SystemCall|LockPersonality|MemoryDenyWriteExecute|Bind(ReadOnly)?Paths|TemporaryFileSystem|ProcSubset|RemoveIPC|IPAddress|Device(Allow|Policy)|KeyringMode|MountFlags|MountAPIVFS|SocketBind|NetworkNamespacePath|ReadOnlyDirectories|ReadWriteDirectories|InaccessibleDirectories)`)

// serviceOf turns a unit into a service. instance is that of a template.
func (w *work) serviceOf(file *unitfile.File, instance string) *service {
	u := w.withDropIns(file, instance)
	s := &service{from: u.Name, instance: instance, count: 1, name: strings.TrimSuffix(u.Name, path.Ext(u.Name))}
	if before, _, ok := strings.Cut(s.name, "@"); ok {
		s.name = before
		if instance != "" {
			s.from = before + "@" + instance + path.Ext(u.Name)
		}
	}
	s.notes = append(s.notes, u.Notes...)
	spec := unitfile.Specifiers{Name: u.Name, Instance: instance, Home: "/root", User: "root"}
	if m := userUnit.FindStringSubmatch(u.Path); m != nil {
		spec.Home, spec.User, s.user = "/home/"+m[1], m[1], m[1]
	}
	fill := func(text string) string {
		filled, err := spec.Fill(text)
		if err != nil {
			s.refuse("%v", err)
		}
		return filled
	}
	w.environmentOf(s, u, fill)
	s.dir = w.workingDir(s, u, fill)
	if text := u.Last("Service", "User"); text != "" {
		s.user = fill(text)
	}
	s.group = fill(u.Last("Service", "Group"))
	s.umask = u.Last("Service", "UMask")
	if isYes(u.Last("Service", "DynamicUser")) && s.user == "" {
		s.user = strings.ReplaceAll(s.name, "@", "_")
		s.note("DynamicUser: no key, a build's user is one of the system:\n$ sudo useradd --system --user-group --shell /usr/sbin/nologin %s", shellWord(s.user))
	}
	s.commands(w, u, fill)
	s.unitKeys(u)
	s.rest(u)
	s.socket = w.socketOf(u)
	return s
}

var userUnit = regexp.MustCompile(`^/home/([^/]+)/\.(?:config|local/share)/systemd/user/`)

func isYes(text string) bool {
	return slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(text))
}

// environmentOf reads Environment= and EnvironmentFile=.
func (w *work) environmentOf(s *service, u *unitfile.File, fill func(string) string) {
	for _, text := range u.All("Service", "Environment") {
		words, err := unitfile.SplitWords(text)
		if err != nil {
			s.refuse("Environment=: %v", err)
			continue
		}
		for _, word := range words {
			name, value, ok := strings.Cut(word, "=")
			if !ok || !envName.MatchString(name) {
				s.note("Environment= has a word that is no NAME=VALUE, which systemd ignores as well")
				continue
			}
			s.env = append(s.env, script.Variable{Name: name, Value: fill(value)})
		}
	}
	for _, file := range u.All("Service", "EnvironmentFile") {
		optional := strings.HasPrefix(file, "-")
		file = fill(strings.TrimPrefix(file, "-"))
		files := []string{file}
		if strings.ContainsAny(file, "*?[") {
			files = w.m.Glob(file)
		}
		for _, one := range files {
			if optional && !w.m.IsFile(one) {
				s.note("EnvironmentFile=-%s is not there: nothing is read from it", one)
				continue
			}
			s.envFiles = append(s.envFiles, one)
		}
	}
}

// workingDir is where a unit runs.
func (w *work) workingDir(s *service, u *unitfile.File, fill func(string) string) string {
	dir := fill(strings.TrimPrefix(u.Last("Service", "WorkingDirectory"), "-"))
	if unquoted, err := unitfile.SplitWords(dir); err == nil && len(unquoted) == 1 {
		dir = unquoted[0]
	}
	if dir == "~" {
		name := s.user
		if text := u.Last("Service", "User"); text != "" {
			name = fill(text)
		}
		if home, _, ok := w.m.User(name); ok {
			dir = home
		}
	}
	if dir == "" {
		return ""
	}
	return path.Clean(dir)
}

// commands reads ExecStart= and ExecStartPre=.
func (s *service) commands(w *work, u *unitfile.File, fill func(string) string) {
	read := func(text string) ([]string, bool) {
		text = strings.TrimSpace(text)
		flags := text[:len(text)-len(strings.TrimLeft(text, "-@:+!|"))]
		words, err := unitfile.SplitWords(text[len(flags):])
		if err != nil {
			s.refuse("%s: %v", u.Name, err)
			return nil, false
		}
		for i := range words {
			words[i] = fill(words[i])
		}
		if strings.Contains(flags, "@") && len(words) > 1 {
			words = slices.Delete(words, 1, 2) // its argv[0]
		}
		if strings.Contains(flags, "-") && text != u.Last("Service", "ExecStart") {
			s.note("the prefix - of «%s»: no key; a step that fails fails the build", redact.Shown(strings.Join(words, " ")))
		}
		if strings.ContainsAny(flags, "+!") {
			s.note("the prefix %s of a command: no key; everything runs as the build's user", flags)
		}
		if !strings.Contains(flags, ":") {
			var wanted []string
			words, wanted = unitfile.FillVariables(words, func(name string) (string, bool) { return w.value(s, name) })
			if len(wanted) > 0 && !slices.Contains([]string{"MAINPID"}, wanted[0]) {
				s.refuse("its command uses $%s, which no file that can be read here sets: write the value out", wanted[0])
			}
		}
		return words, len(words) > 0
	}
	for _, text := range u.All("Service", "ExecStartPre") {
		if words, ok := read(text); ok {
			s.pre = append(s.pre, words)
		}
	}
	starts := u.All("Service", "ExecStart")
	s.oneshot = strings.EqualFold(u.Last("Service", "Type"), "oneshot")
	for i, text := range starts {
		words, ok := read(text)
		switch {
		case !ok:
		case i < len(starts)-1:
			s.pre = append(s.pre, words)
		default:
			s.words = words
		}
	}
	if s.words == nil {
		s.refuse("%s starts nothing: it has no ExecStart", u.Name)
	}
}

// unitKeys turns options into keys.
func (s *service) unitKeys(u *unitfile.File) {
	key := func(name, value, why string) { s.keys = append(s.keys, kv{name, value, why}) }
	switch text := u.Last("Service", "Restart"); text {
	case "":
		s.note("the unit restarts nothing that ends by itself; the supervisor does: `restart = \"never\"` for what was")
	case "always":
	case "no":
		key("restart", `"never"`, "")
	case "on-failure":
		key("restart", `"on-failure"`, "")
	case "on-abnormal", "on-abort", "on-watchdog":
		key("restart", `"on-failure"`, "the nearest to "+text)
	default:
		s.note("Restart=%s: no key; what ends is started again", redact.Shown(text))
	}
	if text := u.Last("Service", "RestartSec"); text != "" {
		s.note("RestartSec=%s: no key; the first restart comes at once, later ones at growing intervals up to restart_delay_max", redact.Shown(text))
	}
	stop := u.Last("Service", "TimeoutStopSec")
	if stop == "" {
		stop = u.Last("Service", "TimeoutSec")
	}
	if stop != "" {
		d, err := parseSpan(stop)
		switch {
		case err != nil:
			s.note("TimeoutStopSec=%s: %v", redact.Shown(stop), err)
		case d <= 0 || d > time.Hour:
			s.stop = time.Hour
		default:
			s.stop = d
		}
	}
	for _, limit := range []struct{ option, key string }{
		{"LimitNOFILE", "nofile"}, {"MemoryMax", "memory"}, {"MemoryLimit", "memory"}, {"CPUQuota", "cpu"}, {"TasksMax", "tasks"}, {"LimitCORE", "core"},
	} {
		text := u.Last("Service", limit.option)
		if text == "" {
			continue
		}
		value, why := limitOf(limit.key, text)
		if value == "" {
			s.note("%s=%s: %s", limit.option, redact.Shown(text), why)
			continue
		}
		key("limits."+limit.key, value, why)
	}
	if text := u.Last("Service", "NoNewPrivileges"); text != "" && !isYes(text) {
		key("no_new_privs", "false", "as NoNewPrivileges= of the unit")
	}
	if signal := strings.TrimPrefix(u.Last("Service", "KillSignal"), "SIG"); signal != "" && signal != "TERM" {
		s.own = append(s.own, kv{"stop_signal", tomltext.Text(signal), ""})
	}
	if strings.EqualFold(u.Last("Service", "Type"), "notify") {
		s.own = append(s.own, kv{"ready", `"notify"`, "it says READY=1"})
	}
}

// limitOf turns a bound of systemd's into one of [build.limits]; without a value why says why not.
func limitOf(key, text string) (value, why string) {
	soft, _, two := strings.Cut(text, ":")
	if two {
		why = "the soft one of " + redact.Shown(text)
	}
	number := strings.TrimSpace(soft)
	switch {
	case strings.EqualFold(number, "infinity"):
		switch key {
		case "core":
			return `"unlimited"`, why
		case "nofile":
			return strconv.Itoa(1 << 20), "the most there is here"
		}
		return "", "no limit, which is the default here too"
	case key == "cpu":
		percent, err := strconv.ParseFloat(strings.TrimSuffix(number, "%"), 64)
		if err != nil || !strings.HasSuffix(number, "%") || !(percent >= 1 && percent <= 409600) {
			return "", "want a number of processors in cpu of [build.limits], which this is not"
		}
		return strconv.FormatFloat(percent/100, 'f', -1, 64), why
	case strings.HasSuffix(number, "%"):
		return "", "a share of the machine: no key; write a number into [build.limits]"
	case key == "memory" || key == "core":
		if !byteSize.MatchString(number) {
			return "", "this is no size"
		}
		return tomltext.Text(strings.ToUpper(number)), why
	}
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n < 0:
		return "", "this is no number"
	case key == "nofile" && n > 1<<20:
		return strconv.Itoa(1 << 20), "the most there is here, of " + redact.Shown(text)
	}
	return strconv.Itoa(n), why
}

var byteSize = regexp.MustCompile(`^\d{1,15}(\.\d{1,6})?[KMGTkmgt]?$`)

// rest names the options that are left.
func (s *service) rest(u *unitfile.File) {
	done := strings.Fields("Environment EnvironmentFile WorkingDirectory User Group UMask DynamicUser ExecStart ExecStartPre Restart RestartSec TimeoutStopSec LimitNOFILE MemoryMax MemoryLimit CPUQuota TasksMax LimitCORE NoNewPrivileges KillSignal")
	box, seen := []string(nil), map[string]bool{}
	for _, o := range u.Options {
		name := o.Name
		switch {
		case o.Value == "", seen[name], slices.Contains(done, name), strings.HasPrefix(name, "X-"), strings.HasPrefix(o.Section, "X-"):
			continue
		}
		seen[name] = true
		switch {
		case slices.Contains(idleOptions, name):
			s.own = append(s.own, kv{"idle", name, ""})
		case reasonsWhy[name] != "":
			s.note("%s: %s", redact.Shown(name+"="+o.Value), reasonsWhy[name])
		case strings.HasPrefix(name, "Condition"), strings.HasPrefix(name, "Assert"):
			s.note("%s: no key; a build starts with the supervisor", redact.Shown(name+"="+o.Value))
		case boxed.MatchString(name):
			box = append(box, name)
		default:
			s.note("%s: no key", redact.Shown(name+"="+o.Value))
		}
	}
	if len(box) > 0 {
		slices.Sort(box)
		s.note("%s: no key for each; `enabled = true` in [build.sandbox], with what may be written, confines a build more than they do", strings.Join(box, ", "))
	}
}

// socket is a socket unit beside a service.
type socket struct{ from, listen, user, group, mode string }

// socketOf reads the socket unit of the same name: one that was given, or lies beside the service.
func (w *work) socketOf(u *unitfile.File) *socket {
	file := w.sockets[strings.TrimSuffix(u.Name, ".service")]
	if file == nil {
		if file = w.unitBeside(u, ".socket"); file == nil {
			return nil
		}
	}
	return &socket{file.Name, strings.Join(file.All("Socket", "ListenStream"), ", "), file.Last("Socket", "SocketUser"), file.Last("Socket", "SocketGroup"), file.Last("Socket", "SocketMode")}
}

// unitBeside reads the unit of the same name and another type that lies beside a service; nil: there is none.
func (w *work) unitBeside(u *unitfile.File, kind string) *unitfile.File {
	file := strings.TrimSuffix(u.Path, ".service") + kind
	if !strings.HasSuffix(u.Path, ".service") || !w.m.IsFile(file) {
		return nil
	}
	text, err := w.read(file)
	if err != nil {
		return nil
	}
	options, _, err := unitfile.Parse(text)
	if err != nil {
		return nil
	}
	w.used = append(w.used, file)
	return &unitfile.File{Path: file, Name: path.Base(file), Options: options}
}

// parseSpan reads a time of systemd's: 90, 5min, 1h 30m.
func parseSpan(text string) (time.Duration, error) {
	if strings.EqualFold(strings.TrimSpace(text), "infinity") {
		return 0, nil
	}
	var all time.Duration
	rest := strings.TrimSpace(text)
	for rest != "" {
		m := spanPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is no time", redact.Shown(text))
		}
		n, err := strconv.ParseFloat(m[1], 64)
		unitOf, ok := spanUnits[m[2]]
		if err != nil || !ok || n > 1e6 {
			return 0, fmt.Errorf("%q is no time", redact.Shown(text))
		}
		all += time.Duration(n * float64(unitOf))
		rest = strings.TrimSpace(rest[len(m[0]):])
	}
	return all, nil
}

var (
	spanPart  = regexp.MustCompile(`^(\d{1,9}(?:\.\d{1,6})?) *([a-zA-Z]*)`)
	spanUnits = map[string]time.Duration{
		"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second, "ms": time.Millisecond, "msec": time.Millisecond, "us": time.Microsecond, "usec": time.Microsecond,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute, "h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	}
)
