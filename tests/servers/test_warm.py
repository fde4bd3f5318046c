"""A process forked from the imported project is what a fresh interpreter would be."""

import json
import subprocess
import sys

from devtools.servers.databases import InstanceData
from devtools.servers.processes import ROOT
from devtools.servers.quick import warmed

# Settings, and every plain value of a module or a class, which might have been made of a setting.
SNAPSHOT = """
import datetime, json, pathlib, re, sys
import django
django.setup()
from django.conf import settings
from django.db import connections
from config.pages import load_pages
load_pages()
import config.server.processes, config.management.commands.serve, django.test.client
PLAIN = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset, type(None),
         datetime.timedelta, datetime.date, pathlib.Path, re.Pattern)
def is_plain(value):
    return type(value) in PLAIN or isinstance(value, pathlib.Path)
def text(value):
    if isinstance(value, (set, frozenset)):
        value = sorted(map(repr, value))
    shown = re.sub(" at 0x[0-9a-f]+", "", repr(value))
    # Sets inside of others: each process has an order of its own.
    return re.sub("{[^{}]*}", lambda found: ", ".join(sorted(found[0][1:-1].split(", "))), shown)
found = {f"settings.{name}": text(getattr(settings, name)) for name in dir(settings)
         if name.isupper()}
found["databases"] = text(connections.settings)
ROOTS = {*sys.argv[1].split()}
for name, module in sorted(sys.modules.items()):
    if name.partition(".")[0] not in ROOTS or name == "config.settings":
        continue
    for key, value in vars(module).items():
        if is_plain(value) and not key.startswith("__"):
            found[f"{name}.{key}"] = text(value)
        if isinstance(value, type) and value.__module__ == name:
            for attribute, each in vars(value).items():
                if is_plain(each) and not attribute.startswith("__"):
                    found[f"{name}.{key}.{attribute}"] = text(each)
print("\\n" + json.dumps(found))
"""
PACKAGES = """
access_reviews accounts api applications audit config core federation forward_auth magiclinks mail
mfa moderation operations webhooks
allauth corsheaders django_ratelimit drf_spectacular rest_framework rest_framework_simplejwt
whitenoise
"""
UNUSUAL = {
    "PUBLIC_URL": "https://gate.example.com/below",
    "FORWARD_AUTH_DOMAIN": "example.com",
    "TRUSTED_PROXIES": "10.0.0.0/8",
    "LANGUAGE_CODE": "de",
    "TIME_ZONE": "Europe/Berlin",
    "LOGIN_MAX": "77",
    "MIN_PASSWORD_LENGTH": "17",
    "SESSION_EXPIRY": "7m",
    "MAGIC_LINK_EXPIRY": "13m",
    "API_KEY_MAX": "21",
    "DEFAULT_ROLE": "none",
    "ALLOW_REGISTRATION": "true",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "GOOGLE_CLIENT_ID": "an id",
    "GOOGLE_CLIENT_SECRET": "a secret",
    "EMAIL_HOST": "127.0.0.1",
    "EMAIL_FROM": "gate@example.com",
    "WEB_THREADS": "3",
}


def test_a_forked_process_equals_a_new_process(sqlite_data: InstanceData) -> None:
    environment = sqlite_data.environment(**UNUSUAL)

    fresh = subprocess.run(
        [sys.executable, "-c", SNAPSHOT, PACKAGES],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    forked = warmed.run(SNAPSHOT, PACKAGES, environment=environment)

    assert (fresh.returncode, forked.returncode) == (0, 0), fresh.stderr + forked.stderr
    expected, found = (json.loads(each.splitlines()[-1]) for each in (fresh.stdout, forked.stdout))
    assert len(expected) > 2000
    assert {name: found.get(name) for name in expected} == expected


def test_wrong_settings_are_reported_as_by_a_new_process(sqlite_data: InstanceData) -> None:
    ended = sqlite_data.manage("check", LOGIN_MAX="abc")

    assert ended.returncode == 1
    assert ended.stderr == (
        "Gatehouse cannot start: these settings need attention.\n"
        "LOGIN_MAX: 'abc' is not a whole number. "
        "Fix: write a whole number, for example LOGIN_MAX=14.\n"
    )
