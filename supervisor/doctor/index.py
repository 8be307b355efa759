# Asks package indexes for one page each, as pip would: with the environment's proxy and ~/.netrc. Descriptor 3 says which, so
# that passwords are in no process list.
import base64
import json
import netrc
import os
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

with os.fdopen(3) as f:
    asked = json.load(f)
insecure = asked["insecure"] or []
try:
    from pip._vendor import certifi  # pip trusts whom this lists, whatever the interpreter was built with

    bundle = certifi.where()
except Exception:
    bundle = None


def login(url):
    parts = urllib.parse.urlsplit(url)
    user, password = parts.username, parts.password
    if user is None:
        try:
            found = netrc.netrc().authenticators(parts.hostname or "")
        except Exception:
            found = None
        user, password = (found[0], found[2]) if found else (None, None)
    plain = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if user is None:
        return plain, {}
    pair = urllib.parse.unquote(user) + ":" + urllib.parse.unquote(password or "")
    return plain, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def ask(n, url):
    answer = {"n": n, "status": 0, "error": ""}
    try:
        plain, headers = login(url)
        parts = urllib.parse.urlsplit(plain)
        context = ssl.create_default_context(cafile=asked["ca"] or None)
        if not asked["ca"] and bundle:
            context.load_verify_locations(bundle)
        if parts.hostname in insecure or parts.netloc in insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        handlers = [urllib.request.HTTPSHandler(context=context)]
        if asked["proxy"]:
            handlers.append(urllib.request.ProxyHandler({"http": asked["proxy"], "https": asked["proxy"]}))
        headers["User-Agent"] = "medctrl-supervisor"
        request = urllib.request.Request(plain.rstrip("/") + "/pip/", headers=headers)
        with urllib.request.build_opener(*handlers).open(request, timeout=8) as response:
            answer["status"] = response.status
    except urllib.error.HTTPError as e:
        answer["status"] = e.code
    except Exception as e:
        answer["error"] = str(getattr(e, "reason", e)) or type(e).__name__
    print(json.dumps(answer), flush=True)


threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in enumerate(asked["urls"])]
for t in threads:
    t.start()
for t in threads:
    t.join(9)
os._exit(0)
