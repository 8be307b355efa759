from api_settings.settings.common import *  # noqa: F401,F403

SECRET_KEY = "random secret key"

DEBUG = False

BASE_URL = "baseurl/"

STATIC_ROOT = "STATIC_FOLDER"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "DATABASE_NAME",
        "USER": "DATABASE_USER",
        "PASSWORD": "DATABASE_PASSWORD",
        "HOST": "DATABASE_HOST",
        "PORT": "DATABASE_PORT",
    }
}
