#!/usr/bin/env python3
"""Sends a mail about what happened to a build: a hook of medctrl-supervisor.

MAIL_TO    who gets it, with commas between several
SMTP_URL   smtps://user:password@host:465 or smtp://host:25; without it sendmail sends the mail.
           smtp:// uses STARTTLS where the server offers it, and sends no password without it
MAIL_FROM  the sender, by default the first of MAIL_TO
"""
import os
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid
from urllib.parse import unquote, urlsplit

LIMIT = 10  # seconds for a step
ALL = 25  # seconds for everything: after 30 the supervisor ends a hook


def fail(text):
    sys.exit("mail.py: " + text)


def late(*_):
    fail("send the mail: it took longer than %d s; is the server reachable?" % ALL)


def wanted(name, what):
    value = os.environ.get(name, "").strip()
    if not value:
        fail("%s is not set: set it to %s, in the build's env_file" % (name, what))
    return value


def message(to):
    build, event = os.environ.get("MEDCTRL_BUILD", "?"), os.environ.get("MEDCTRL_EVENT", "?")
    release, reason = os.environ.get("MEDCTRL_RELEASE", ""), os.environ.get("MEDCTRL_REASON", "")
    mail = EmailMessage()
    try:
        mail["To"] = to
        mail["From"] = os.environ.get("MAIL_FROM", "").strip() or getaddresses([to])[0][1]
    except (ValueError, IndexError):
        fail("MAIL_TO or MAIL_FROM is no address: set them as in admin@example.com")
    mail["Subject"] = "%s: %s" % (build, event.replace("_", " "))
    mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid()
    mail["Auto-Submitted"] = "auto-generated"
    text = "Build:   %s\nEvent:   %s\nRelease: %s\n\n%s\n" % (build, event, release or "none", reason)
    mail.set_content(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return mail


def by_smtp(url, mail):
    try:
        at = urlsplit(url)
        secure, host = at.scheme == "smtps", at.hostname
        port = at.port or (465 if secure else 25)
    except ValueError:
        host = None
    if not host or at.scheme not in ("smtp", "smtps"):
        fail("SMTP_URL is no address of a mail server: want smtps://user:password@host or smtp://host, "
             "with %40 for @ and %2F for / in the password")
    context = ssl.create_default_context()
    try:
        if secure:
            server = smtplib.SMTP_SSL(host, port, timeout=LIMIT, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=LIMIT)
        with server:
            server.ehlo_or_helo_if_needed()
            encrypted = secure
            if not secure and server.has_extn("starttls"):
                server.starttls(context=context)
                encrypted = True
            if at.username:
                if not encrypted:
                    fail("log in at %s:%d: it offers no STARTTLS and would get the password in the clear; use smtps://" % (host, port))
                server.login(unquote(at.username), unquote(at.password or ""))
            refused = server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        fail("send the mail by %s:%d: %s" % (host, port, error))
    if refused:
        fail("send the mail by %s:%d: it refused %s" % (host, port, ", ".join(sorted(refused))))


def by_sendmail(mail):
    program = shutil.which("sendmail") or shutil.which("sendmail", path="/usr/sbin:/usr/lib")
    if not program:
        fail("there is no sendmail: install a mail server, or set SMTP_URL in the build's env_file")
    try:
        done = subprocess.run([program, "-i", "-t"], input=mail.as_bytes(), timeout=LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        fail("send the mail by sendmail: %s" % error)
    if done.returncode:
        fail("send the mail by %s: exit code %d: %s" % (program, done.returncode, done.stdout.decode(errors="replace").strip()))


signal.signal(signal.SIGALRM, late)
signal.alarm(ALL)
letter = message(wanted("MAIL_TO", "who gets the mail"))
address = os.environ.get("SMTP_URL", "").strip()
if address:
    by_smtp(address, letter)
else:
    by_sendmail(letter)
