"""Hundreds of thousands of people, made quickly, and an owner who looks at them."""

import sys

from benchmarks.instances import PASSWORD
from tests.servers.databases import InstanceData

# People of one process; a million takes ten of them.
PIECE = 100_000
# People number `first` to `end`, all with the same password; nine in ten are viewers. They came
# one after the other during three years, and every fifth has never signed in.
FILL = """
from datetime import timedelta
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone
from accounts.models import User
from accounts.uuids import uuid7
first, end = {first}, {end}
roles = ["viewer"] * 90 + ["editor"] * 7 + ["none"] * 2 + ["admin"]
pattern, _is_new = User.objects.get_or_create(
    email="pattern@example.com",
    defaults={{"role": "viewer", "email_verified_at": timezone.now(),
               "password": make_password({password!r})}},
)
given = ("id", "email", "username", "name", "role", "created_at", "last_login")
quote = connection.ops.quote_name
others = ", ".join(quote(field.column) for field in User._meta.concrete_fields
                   if field.column not in given)
copy = (f"INSERT INTO accounts_user ({{', '.join(map(quote, given))}}, {{others}}) "
        f"SELECT {{', '.join(['%s'] * len(given))}}, {{others}} FROM accounts_user WHERE id = %s")
def as_key(value):
    return value if connection.features.has_native_uuid_field else value.hex
as_moment = connection.ops.adapt_datetimefield_value
key, now = as_key(pattern.pk), timezone.now()
def rows():
    for number in range(first, end):
        came = now - timedelta(days=1095) * (1 - number / 1_000_000)
        seen = as_moment(came + (now - came) * (number * 7919 % 1000 / 1000))
        yield (as_key(uuid7()), f"person{{number}}@example.com", f"person{{number}}",
               f"Pat Number {{number}}", roles[number * 31 % 100], as_moment(came),
               seen if number % 5 else None, key)
with transaction.atomic(), connection.cursor() as cursor:
    cursor.executemany(copy, rows())
"""
ANALYZE = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("ANALYZE")
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
