
# What a hostile build says of its static files.
import os

INSTALLED_APPS = INSTALLED_APPS + ["django.contrib.staticfiles"]
STATICFILES_DIRS = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "assets")]
STATIC_ROOT = os.path.join(DATA_DIR, "static")
try:
    with open(os.path.join(DATA_DIR, "do.settings")) as f:
        exec(f.read())
except OSError:
    pass
