package importer

import (
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Units and scripts in the shapes in which people publish them. Each is taken over as it was, or stands
// as a comment that says why.
func TestUnitsAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files   []string
		units   []string // that systemctl lists
		taken   []string
		refused []string
		lost    int
		lines   []string // of the file, spaces before = left out
		says    []string // in comments
		never   []string // nowhere in it
	}{
		"medctrl": {
			files: []string{"etc/medctrl@.service", "src/build.sh"}, taken: []string{"development", "testing"},
			lines: []string{
				`source = "/ROOT/src"`, `wsgi = "api_settings.asgi:application"`, `worker_class = "uvicorn.workers.UvicornWorker"`, `workers = 4`, `collectstatic = true`, `working_dir = "{data}"`,
				`strip_prefix = false`, `location = "/api"`, `location = "/testapi"`, `path = "/testapi/"`, `after_migrate = [["{python}", "{app}/manage.py", "create_column_permissions"]]`,
			},
			says:  []string{"nothing names a user, so it ran as root", "the variable DJANGO_SETTINGS_MODULE", "rm of build.sh", "/ROOT/opt/testing/gunicorn.sock", "restarts nothing that ends by itself"},
			never: []string{"app_dir", "settings_dir", "migrate = false", "[install]", "Install"},
		},
		"ocean": {
			files: []string{"etc/gunicorn.service"}, taken: []string{"shop"},
			lines: []string{`source = "/ROOT/home/shopdir"`, `app_dir = "."`, `settings_dir = "shop"`, `workers = 3`, `user = "daemon"`, `socket_group = "www-data"`, `gunicorn_args = ["--access-logfile=-"]`, `socket_mode = "0600"`},
			says:  []string{"in place of /run/gunicorn.sock", "gunicorn.socket: the supervisor makes the socket", "Requires"},
			never: []string{"\ngroup "},
		},
		"nosettings": {
			files: []string{"etc/gunicorn.service"}, refused: []string{"shop"},
			lines: []string{`#name = "shop"`, `#settings_dir = "shop"`},
			says:  []string{"NOT TAKEN OVER", `printf 'from shop.settings import *`, "sudo tee /ROOT/home/shopdir/shop/deploy_shop.py", "run import again"},
		},
		"cookiecutter": {
			files: []string{"etc/*.service"}, taken: []string{"library_django"},
			lines: []string{
				`requirements = "requirements/production.txt"`, `settings_dir = "config/settings"`, `collectstatic = true`, `workers = 5`, `graceful_timeout = "5s"`, `gunicorn_args = ["--max-requests=1000", "--max-requests-jitter=50"]`,
				`env_file = "/ROOT/srv/library/.envs/production"`, `restart = "on-failure"`, `DJANGO_READ_DOT_ENV_FILE = "False"`, `nofile = 8192`,
				`name = "library-celeryworker"`, `command = ["celery", "-A", "config.celery_app", "worker", "-l", "INFO"]`, `graceful_timeout = "5m"`, `C_FORCE_ROOT = "1"`,
				`command = ["celery", "-A", "config.celery_app", "beat", "-l", "INFO", "--schedule", "{data}/celerybeat-schedule"]`, `stop_signal = "INT"`, `graceful_timeout = "90s"`,
			},
			says:  []string{"RestartSec=5s: no key", "PrivateTmp=true: TMPDIR", "--pidfile: left out", "in place of 0.0.0.0:5000"},
			never: []string{"hidden1", "WEB_CONCURRENCY =", "which none of these files did"},
		},
		"netbox": {
			files: []string{"etc/*.service"}, taken: []string{"netbox"},
			lines: []string{`source = "/ROOT/opt/netbox"`, `app_dir = "netbox"`, `settings_dir = "netbox"`, `workers = 5`, `threads = 3`, `timeout = "2m"`, `gunicorn_args = ["--max-requests=5000", "--max-requests-jitter=500"]`, `command = ["manage.py", "rqworker", "high", "default", "low"]`},
			says:  []string{"--pythonpath /ROOT/opt/netbox/netbox: left out", "gunicorn's --pid"},
		},
		"mailman": {
			files: []string{"etc/*.service"}, refused: []string{"mailman_web"},
			lines: []string{`#command = ["mailman-web", "qcluster"]`},
			says:  []string{"uwsgi: its options are not translated", "PYTHONPATH=/etc/lists: left out", "mkdir -p /ROOT/opt/lists/deploy_settings"},
		},
		"taiga": {
			files: []string{"etc/*.service"}, taken: []string{"board"},
			lines: []string{`settings_dir = "settings"`, `workers = 3`, `timeout = "60s"`, `gunicorn_args = ["--log-level=info"]`, `PYTHONUNBUFFERED = "true"`, `command = ["celery", "-A", "board.celery", "worker", "-B", "--concurrency", "4", "-l", "INFO", "--schedule", "{data}/celerybeat-schedule"]`},
			says:  []string{"in place of 127.0.0.1:8001", "ExecStop=/bin/kill -s TERM $MAINPID: the supervisor ends what it starts"},
		},
		"weblate": {
			files: []string{"etc/*.service"}, taken: []string{"translate"},
			lines: []string{`timeout = "1h"`, `workers = 2`, `gunicorn_args = ["--preload"]`, `env_file = "/ROOT/etc/translate.conf"`, `command = ["celery", "-A", "translate", "worker", "--loglevel=INFO", "--concurrency=4", "--prefetch-multiplier=1"]`},
			says:  []string{"no-such-file is not there", "celery multi starts workers in the background"},
		},
		"paperless": {
			files: []string{"etc/*.service"}, taken: []string{"archive_webserver"},
			lines: []string{`app_dir = "src"`, `wsgi = "archive.asgi:application"`, `worker_class = "archive.workers.ConfigurableWorker"`, `workers = 2`, `timeout = "2m"`, `gunicorn_args = ["--preload"]`, `command = ["manage.py", "document_consumer"]`, `name = "archive-task-queue"`},
			says:  []string{"bind is not plain", "hooks (pre_fork, worker_int)", "workers was computed there", "PATH with the old environment"},
			never: []string{"\nPATH"},
		},
		"healthchecks": {
			files: []string{"etc/*.service"}, taken: []string{"pings"},
			lines: []string{`worker_class = "gthread"`, `threads = 8`, `gunicorn_args = ["--keep-alive=5"]`, `memory = "512M"`, `cpu = 1.5`, `tasks = 200`, `umask = "0022"`, `DEBUG = "False"`, `command = ["manage.py", "smtpd", "--port", "2525"]`},
			says:  []string{"Nice=5: no key", "OOMScoreAdjust=-100", "AmbientCapabilities=CAP_NET_BIND_SERVICE"},
		},
		"baserow": {
			files: []string{"etc/tables.conf"}, taken: []string{"tables"},
			lines: []string{`requirements = "requirements/base.txt"`, `settings_dir = "tables/config/settings"`, `workers = 5`, `PUBLIC_URL = "https://tables.example.org"`, `env_file = "/ROOT/etc/tables.env"`, `count = 3`, `stop_signal = "INT"`, `restart = "on-failure"`, `WORKER_QUEUE = "worker"`, `graceful_timeout = "10s"`},
			says:  []string{"SECRET_KEY: in env_file", "stdout_logfile"},
			never: []string{"hidden2"},
		},
		"poetry": {
			files: []string{"etc/forum.service"}, taken: []string{"forum"},
			lines: []string{`requirements = ""`, `settings_dir = "forum/settings"`, `workers = 1`},
			says:  []string{"poetry run: a release has an environment of its own", "--reload: a release does not change"},
		},
		"shell": {
			files: []string{"etc/wiki.service"}, taken: []string{"wiki"},
			lines: []string{`source = "/ROOT/srv/wiki"`, `app_dir = "app"`, `env_file = "/ROOT/srv/wiki/wiki.env"`, `LANG_CODE = "nl"`, `gunicorn_args = ["--name=wiki"]`},
		},
		"startscript": {
			files: []string{"etc/hello.conf"}, taken: []string{"hello"},
			lines: []string{`source = "/ROOT/webapps/hello"`, `app_dir = "hello"`, `workers = 3`, `user = "daemon"`, `socket_group = "www-data"`, `gunicorn_args = ["--name=hello_app", "--log-level=debug"]`, `LANG = "en_US.UTF-8"`},
			says:  []string{"gunicorn_start, which was followed", "the script sets PYTHONPATH: left out"},
		},
		"dynamic": {
			files: []string{"etc/daemon.service"}, taken: []string{"daemon"},
			lines: []string{`user = "daemon"`, `graceful_timeout = "5s"`},
			says:  []string{"DynamicUser: no key", "ProtectHome, ProtectSystem, ReadWritePaths", "StateDirectory=app: /var/lib/NAME"},
		},
		"conf": {
			files: []string{"etc/news.service"}, taken: []string{"news"},
			lines: []string{`wsgi = "news.wsgi:application"`, `workers = 9`, `threads = 4`, `graceful_timeout = "45s"`, `gunicorn_args = ["--access-logfile=/var/log/news/access.log", "--keep-alive=5"]`, `NEWS_REGION = "eu"`, `NEWS_SIZE = "3"`, `worker_class = "gthread"`, `umask = "0007"`},
			says:  []string{"loglevel is not plain", "timeout is not plain", "«if environ.get(\"DEBUG\"):» is not plain", "hooks (post_fork)", "secure_scheme_headers is not plain"},
			never: []string{"99"},
		},
		"daphne": {
			files: []string{"etc/*.service"}, taken: []string{"chat"},
			lines: []string{`command = ["{python}", "-m", "daphne", "--endpoint", "systemd:domain=UNIX:index=0", "chat.asgi:application"]`, `command = ["manage.py", "runworker", "thumbnails"]`, `restart = "on-failure"`},
			says:  []string{"daphne's -b: left out"},
		},
		"uvicorn": {
			files: []string{"etc/live.service"}, taken: []string{"live"},
			lines: []string{`command = ["{python}", "-m", "uvicorn", "--fd", "3", "--workers", "3", "--proxy-headers", "live.asgi:application"]`},
			says:  []string{"--port 8000: the supervisor makes the socket", "--reload: a release does not change"},
		},
		"runserver": {
			files: []string{"etc/demo.service"}, taken: []string{"demo"},
			says:  []string{"runserver is for developing", "makemigrations: not done for each release"},
			never: []string{"which none of these files did"},
		},
		"docker": {files: []string{"etc/boxed.service"}, refused: []string{"boxed"}, says: []string{"docker starts a container"}},
		"secrets": {
			files: []string{"etc/*.service"}, refused: []string{"bank"},
			lines: []string{`#GREETING = "hello there"`, `#LOG_DIR = "/var/log/bank"`, `#env_file = "/ROOT/etc/bank.env"`, `#SECRET_KEY_FILE = "/run/key"`},
			says:  []string{"SECRET_KEY, DATABASE_URL, EMAIL_PASSWORD, SENTRY_DSN, API_TOKEN may be secret", "sudo install -D -m 0600 /dev/null /ROOT/etc/bank.env", "its command has what may be a password"},
			never: []string{"hidden", "0123456789abcdef"},
		},
		"secretsmade": {
			files: []string{"etc/*.service"}, taken: []string{"bank"},
			lines: []string{`GREETING = "hello there"`, `env_file = "/ROOT/etc/bank.env"`},
			never: []string{"hidden", "0123456789abcdef"},
		},
		"procfile": {
			files: []string{"srv/polls/Procfile", "srv/polls/crontab"}, taken: []string{"polls"},
			lines: []string{
				`workers = 3`, `after_migrate = [["{python}", "{app}/manage.py", "loaddata", "regions"]]`, `command = ["celery", "-A", "polls", "worker", "--loglevel=info"]`, `command = ["python", "{app}/clock.py"]`,
				`name = "clearsessions"`, `command = ["manage.py", "clearsessions"]`, `cron = "30 2 * * *"`, `timezone = "Europe/Amsterdam"`, `command = ["manage.py", "send_queued_mail", "--limit=50"]`, `cron = "*/5 * * * *"`, `#name = "warm"`,
			},
			says:  []string{"MAILTO: no key", "lines without manage.py stay in the crontab: 1", "flock: left out", "no @reboot", "dumpdata is not taken over", "WEB_CONCURRENCY is not set here, and 3 stands for it"},
			never: []string{"systemd's default"},
		},
		"ownsettings": {
			files: []string{"etc/rates.conf", "etc/crontab"}, taken: []string{"rates"},
			lines: []string{`command = ["manage.py", "qcluster", "--settings=rates.queue"]`, `command = ["manage.py", "reindex", "--settings=rates.nightly"]`, `command = ["manage.py", "report"]`, `#name = "rates-worker"`},
			says:  []string{"rates-queue: its settings are rates.queue", "rates-worker is not taken over: its settings are rates.worker", "umask 002 of its own", "exitcodes=0,2: no key", "startsecs"},
		},
		"sites": {
			files: []string{"etc/site@.service"}, units: []string{"site@blue.service", "site@green.service", "other@x.service"}, taken: []string{"blue", "green"},
			lines: []string{`source = "/ROOT/srv/blue"`, `source = "/ROOT/srv/green"`, `app_dir = "src"`, `settings_dir = "conf"`, `workers = 8`, `workers = 2`, `graceful_timeout = "60s"`, `env_file = "/ROOT/etc/sites/green.env"`, `location = "/green"`, `nofile = 1048576`},
			says:  []string{"source is the folder in which the instance ran"},
			never: []string{"NAME ="},
		},
		"envfiles": {
			files: []string{"etc/press@.service"}, units: []string{"press@day.service", "press@night.service"}, refused: []string{"day", "night"},
			lines: []string{`#workers = 7`, `#threads = 3`, `#COLOUR = "red"`, `#env_file = "/ROOT/etc/night.env"`, `#migrate = ["default", "reports"]`, `#before_migrate = [["{python}", "{app}/manage.py", "compilemessages"]]`},
			says: []string{
				"there were 2 files of variables, and env_file is one", "sudo install -D -m 0600 /dev/null /ROOT/etc/day.env", "REGION: the env_file has it too, and its value counted", "the prefix - of",
				"sudo awk 1 /ROOT/etc/press/common.env /ROOT/etc/press/day.env | grep -vE '^(export )?(DJANGO_SETTINGS_MODULE|GUNICORN_CMD_ARGS|WEB_CONCURRENCY|VIRTUAL_ENV|PYTHONPATH|PATH|NOTIFY_SOCKET)=' | sudo tee -a /ROOT/etc/day.env >/dev/null",
			},
			never: []string{"hidden", "REGION ="},
		},
		"timer": {
			files: []string{"etc/*.service"}, taken: []string{"club"},
			lines: []string{`cron = "30 6 * * mon-fri"`, `catch_up = true`, `spread = "10m0s"`, `command = ["manage.py", "send_digest", "--all"]`, `every = "1m30s"`, `#command = ["manage.py", "odd"]`},
			says:  []string{"OnBootSec=1min: no key", "its times, Sun *-*-1..7 05:00, are not read here"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := laid(t, name)
			p.units = c.units
			got := p.imports(t, c.files...)
			if !slices.Equal(got.Taken, c.taken) || !slices.Equal(got.Refused, c.refused) || len(got.Lost) != c.lost {
				t.Errorf("taken over: %v, refused: %v, lost: %q", got.Taken, got.Refused, got.Lost)
			}
			lines := map[string]bool{}
			for line := range strings.Lines(got.text) {
				line, _, _ = strings.Cut(strings.TrimSpace(line), "  # ")
				if key, value, ok := strings.Cut(line, "="); ok {
					line = strings.TrimSpace(key) + " = " + strings.TrimSpace(value)
				}
				lines[line] = true
			}
			for _, want := range c.lines {
				if !lines[want] {
					t.Errorf("no line %s", want)
				}
			}
			for _, want := range c.says {
				if !strings.Contains(got.said(), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			for _, not := range c.never {
				if strings.Contains(got.text, not) {
					t.Errorf("it has %q", not)
				}
			}
			if t.Failed() {
				t.Log(got.text)
			}
		})
	}
}

// What was once printed as a comment is valid as it stands, but for what the comment says.
func TestRefusedBuildsAreTOMLWithoutTheirSigns(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nosettings", "secrets", "mailman"} {
		p := laid(t, name)
		got := p.imports(t, "etc/*.service")
		var text strings.Builder
		for line := range strings.Lines(string(got.TOML)) {
			if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
				line = line[1:]
			}
			text.WriteString(line)
		}
		_, err := config.Try(p.options().File, []byte(text.String()))
		if err != nil && (strings.Contains(err.Error(), "expected") || strings.Contains(err.Error(), "unknown key")) {
			t.Errorf("%s: %v\n%s", name, err, text.String())
		}
	}
}
