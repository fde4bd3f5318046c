"""Hundreds of thousands of people, made quickly, and an owner who looks at them."""

import sys

from benchmarks.servers import PASSWORD
from devtools.servers.databases import InstanceData

# People of one process; a million takes ten of them.
PIECE = 100_000
# People number `first` to `end`, all with the same password; nine in ten are viewers. They came
# one after the other during three years, and every fifth has never signed in.
FILL = """
from datetime import timedelta
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from accounts.models import User
from core.uuid7 import uuid7
from benchmarks.copying import copy
first, end = {first}, {end}
roles = ["viewer"] * 90 + ["editor"] * 7 + ["none"] * 2 + ["admin"]
pattern, _is_new = User.objects.get_or_create(
    email="pattern@example.com",
    defaults={{"role": "viewer", "email_verified_at": timezone.now(),
               "password": make_password({password!r})}},
)
given = ("id", "email", "username", "name", "role", "created_at", "last_login")
now = timezone.now()
def rows():
    for number in range(first, end):
        came = now - timedelta(days=1095) * (1 - number / 1_000_000)
        seen = came + (now - came) * (number * 7919 % 1000 / 1000)
        yield (uuid7(), f"person{{number}}@example.com", f"person{{number}}",
               f"Pat Number {{number}}", roles[number * 31 % 100], came,
               seen if number % 5 else None)
copy(pattern, given, rows())
"""
ANALYZE = """
from benchmarks.copying import analyze
analyze()
"""
# The cookie of an owner who is signed in.
OWNER = """
from django.test import Client
from django.utils import timezone
from accounts.models import User
owner, _is_new = User.objects.get_or_create(
    email="owner@example.com",
    defaults={"username": "owner", "role": "owner", "email_verified_at": timezone.now()},
)
browser = Client()
browser.force_login(owner)
result = browser.session.session_key
"""


def fill(data: InstanceData, stored: int, wanted: int) -> None:
    """Add people to the `stored` ones that fill() made before, until there are `wanted`."""
    for first in range(stored, wanted, PIECE):
        end = min(first + PIECE, wanted)
        data.shell(FILL.format(first=first, end=end, password=PASSWORD))
        print(f"{end:,} of {wanted:,} people are made", file=sys.stderr, flush=True)
    data.shell(ANALYZE)


def owner_cookies(data: InstanceData) -> dict[str, str]:
    """The cookies of a browser in which an owner is signed in."""
    return {"gatehouse_session": str(data.shell(OWNER))}
