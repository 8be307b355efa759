"""The testing build."""
from api_settings.settings.common import *  # noqa: F401,F403

# Change this and save: /testapi/ shows it a moment later.
BANNER = "testing"

# The build's `location` in builds.toml, so that links and redirects lead back here, and so that the cookies of builds on one
# host stay apart.
FORCE_SCRIPT_NAME = "/testapi"
STATIC_URL = FORCE_SCRIPT_NAME + "/static/"
SESSION_COOKIE_PATH = FORCE_SCRIPT_NAME
CSRF_COOKIE_PATH = FORCE_SCRIPT_NAME
