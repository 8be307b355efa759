from api_settings.settings.common import *  # noqa: F401,F403

BANNER = "two"
