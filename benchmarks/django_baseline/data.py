"""What the stock stack is measured with: people, credentials, and many more of them."""

import secrets
import sys
from pathlib import Path

from benchmarks.servers import PASSWORD, email_of
from devtools.servers.databases import InstanceData

PIECE = 100_000
# Tables, and people whose user name is the address that the load types.
MAKE = """
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
hashed = make_password({password!r})
User.objects.bulk_create(
    User(username=address, email=address, password=hashed) for address in {addresses!r}
)
"""
# One header line for each kind of credential.
OFFERS = """
from django.contrib.auth.models import User
from django.test import Client
from rest_framework_api_key.models import APIKey
from rest_framework_simplejwt.tokens import AccessToken
person, browser = User.objects.first(), Client()
browser.force_login(person, "django.contrib.auth.backends.ModelBackend")
_row, key = APIKey.objects.create_key(name="benchmark")
result = {
    "session": f"Cookie: sessionid={browser.session.session_key}",
    "token": f"Authorization: Bearer {AccessToken.for_user(person)}",
    "key": f"Authorization: Api-Key {key}",
}
"""
# `count` keys, sessions and access tokens of all people; their header lines in files.
FILL = """
import random
from datetime import timedelta
from itertools import cycle, islice
from uuid import uuid4
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from rest_framework_api_key.models import APIKey
from rest_framework_simplejwt.tokens import AccessToken
count, people = {count}, list(User.objects.all())
expires = timezone.now() + timedelta(days=14)
store = SessionStore()
contents = [
    store.encode({{
        "_auth_user_id": str(person.pk),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": person.get_session_auth_hash(),
    }})
    for person in people
]
sessions = [Session(session_key=uuid4().hex, session_data=content, expire_date=expires)
            for content in islice(cycle(contents), count)]
Session.objects.bulk_create(sessions, batch_size=5000)
rows = [APIKey(name="stored") for _number in range(count)]
keys = [APIKey.objects.assign_key(row) for row in rows]
APIKey.objects.bulk_create(rows, batch_size=5000)
tokens = (AccessToken.for_user(person) for person in islice(cycle(people), count))
lines = {{
    "session": [f"Cookie: sessionid={{row.session_key}}" for row in sessions],
    "token": [f"Authorization: Bearer {{token}}" for token in tokens],
    "key": [f"Authorization: Api-Key {{key}}" for key in keys],
}}
for kind, offered in lines.items():
    random.shuffle(offered)
    with open(f"{folder}/{{kind}}.headers", "w") as file:
        file.write("\\n".join(offered) + "\\n")
with connection.cursor() as cursor:
    cursor.execute("ANALYZE")
"""
REFRESH_TOKENS = """
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import RefreshToken
result = [str(RefreshToken.for_user(person)) for person in User.objects.all()[:{count}]]
"""


def make_stock(place: Path, users: int, *, rotates: bool = False) -> InstanceData:
    """A fresh database of the stock stack in `place`, with so many people."""
    place.mkdir()
    settings = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.django_baseline.settings",
        "STOCK_DATABASE": str(place / "stock.sqlite3"),
        "STOCK_SECRET_KEY": secrets.token_urlsafe(48),
        "STOCK_ROTATES": "yes" if rotates else "no",
    }
    data = InstanceData("stock", "", place, settings)
    addresses = [email_of(number) for number in range(users)]
    data.shell(MAKE.format(password=PASSWORD, addresses=addresses))
    return data


def fill_stock(data: InstanceData, stored: int) -> None:
    """`stored` credentials of each kind; the files of header lines hold those of the last piece."""
    for first in range(0, stored, PIECE):
        data.shell(FILL.format(count=min(PIECE, stored - first), folder=data.data_dir))
        done = min(first + PIECE, stored)
        print(f"{done:,} of {stored:,} stock credentials are made", file=sys.stderr, flush=True)
