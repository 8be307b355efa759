"""What all builds share. A build's own file, deploy_<name>.py next to this one, imports everything from here and adds its own.

Runs on Django 3.2 and later.
"""
import os
from pathlib import Path

from api_settings import secret

# The folder that holds manage.py. In a release it is replaced as a whole with each build: keep nothing there.
BASE_DIR = Path(__file__).resolve().parent.parent.parent

# The build's own writable folder, kept across releases. The supervisor sets it; by hand it is examples/medctrl/data.
DATA_DIR = Path(os.environ.get("MEDCTRL_DATA") or BASE_DIR.parent / "data")

# Made on first use, mode 0600, and never in the repository: anybody who has it can forge sessions.
# To set your own instead, read it from the environment (`env_file` in builds.toml) or put it in
# deploy_<name>.py and keep that file out of version control.
SECRET_KEY = secret.load_or_make(str(DATA_DIR / "secret_key"))

DEBUG = False

# The names clients use; "localhost" is also what the supervisor's health probe sends (`host` in
# [build.health]).
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "medicines",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "api_settings.urls"
WSGI_APPLICATION = "api_settings.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# Where `manage.py collectstatic` puts the admin's style sheets (`collectstatic = true` in builds.toml).
STATIC_ROOT = str(DATA_DIR / "static")

# By default Django only mails the traceback of a 500, here to nobody. On stderr it gets into the
# build's log.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}

# SQLite in data/ needs nothing installed. Two releases use it at the same time for a moment when
# one takes over from the other, so wait for a lock instead of failing.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DATA_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}

# MySQL or MariaDB: put this into deploy_<name>.py, uncomment mysqlclient in requirements.txt, and see docs/mysql.md.
#
# DATABASES = {
#     "default": {
#         "ENGINE": "django.db.backends.mysql",
#         "NAME": "medctrl_development",
#         "USER": "medctrl",
#         "PASSWORD": os.environ["MEDCTRL_DB_PASSWORD"],  # from `env_file` in builds.toml
#         "HOST": "127.0.0.1",
#         "PORT": "3306",
#     }
# }
