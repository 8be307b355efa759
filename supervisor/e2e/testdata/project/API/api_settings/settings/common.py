"""As little of Django as boots fast. A test edits the copy that its world has."""
import os

DATA_DIR = os.environ["MEDCTRL_DATA"]
SECRET_KEY = "of a test, no secret at all"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["things"]
MIDDLEWARE = ["api_settings.views.stamp"]
ROOT_URLCONF = "api_settings.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
BANNER = "common"  # each build has its own
TIME_ZONE = "UTC"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(DATA_DIR, "db.sqlite3")}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
