"""An application that expects to run in its own folder, at an URL of its own: it logs to relative names, and its URLs begin
with BASE_URL."""
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.staticfiles", "roles"]
MIDDLEWARE = ["roles.views.stamp", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "api_settings.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = "static"
TIME_ZONE = "UTC"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"simple": {"format": "{levelname} {message}", "style": "{"}},
    "handlers": {
        "debug": {"level": "DEBUG", "class": "logging.FileHandler", "filename": "debug.log", "formatter": "simple"},
        "warning": {"level": "WARNING", "class": "logging.FileHandler", "filename": "warning.log", "formatter": "simple"},
    },
    "loggers": {"": {"handlers": ["debug", "warning"], "level": "DEBUG"}},
}
