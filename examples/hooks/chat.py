#!/usr/bin/env python3
"""Writes to a channel of Slack or Mattermost what happened to a build: a hook of medctrl-supervisor.

CHAT_URL  the address of the channel's incoming webhook
"""
import http.client
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

LIMIT = 10  # seconds for a step
ALL = 25  # seconds for everything: after 30 the supervisor ends a hook


def fail(text):
    sys.exit("chat.py: " + text)


def late(*_):
    fail("the request took longer than %d s; is the server reachable?" % ALL)


def told(name):
    """Returns what the supervisor says, without bytes that are no text."""
    return os.environ.get("MEDCTRL_" + name.upper(), "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the POST would become a GET, and the address go elsewhere."""

    def redirect_request(self, *_):
        return None


def post(variable, value):
    """Sends value as JSON to the address in a variable. The address is a secret, no message has it."""
    url = os.environ.get(variable, "").strip()
    if not url:
        fail("%s is not set: set it to the address of the webhook, in the build's env_file" % variable)
    try:
        at = urlsplit(url)
        where = "%s:%d" % (at.hostname, at.port or (443 if at.scheme == "https" else 80))
    except (TypeError, ValueError):
        at = where = None
    if not at or not at.hostname or at.scheme not in ("http", "https"):
        fail("%s is no address of a webhook: want https://host/path" % variable)
    body = json.dumps(value).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "medctrl-supervisor-hook"}
    try:
        with urllib.request.build_opener(Stays).open(urllib.request.Request(url, body, headers), timeout=LIMIT):
            pass
    except urllib.error.HTTPError as error:
        said = error.read(200).decode(errors="replace").strip()
        fail("%s returned status %d: %s" % (where, error.code, said or error.reason))
    except urllib.error.URLError as error:
        fail("send to %s: %s" % (where, error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:
        fail("send to %s: %s" % (where, type(error).__name__ if isinstance(error, (ValueError, http.client.HTTPException)) else error))


signal.signal(signal.SIGALRM, late)
signal.alarm(ALL)
about = {name: told(name) for name in ("build", "release", "event", "reason")}
sign = {"recovered": ":white_check_mark:", "took_over": ":arrow_up:"}.get(about["event"], ":x:")
line = "%s *%s*: %s" % (sign, about["build"], about["event"].replace("_", " "))
if about["release"]:
    line += ", release " + about["release"]
if about["reason"]:  # what a server printed mentions nobody and links nowhere
    reason = about["reason"][:2000].replace("`", "'").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line += "\n```\n" + reason + "\n```"
post("CHAT_URL", {"text": line})
