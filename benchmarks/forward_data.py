"""What the measurements of checks stand on: credentials, and many more of them."""

BOARD = ("X-Original-URL: https://app.example.com/board?page=1", "X-Original-Method: GET")
# One header line for each kind of credential.
OFFERS = """
from datetime import timedelta
from django.test import Client
from django.utils import timezone
from accounts.models import BrowserSession, User
from api.apikeys import services as apikeys
from api.tokens import refresh_tokens
person, _is_new = User.objects.get_or_create(
    email="checked@example.com",
    defaults={"username": "checked", "role": "editor", "email_verified_at": timezone.now()},
)
browser = Client()
browser.force_login(person)
# No activity has to be written while it is measured.
BrowserSession.objects.filter(user_id=person.pk).update(
    last_seen_at=timezone.now() + timedelta(hours=6)
)
person.api_keys.all().delete()
pair = refresh_tokens.start_by_password(person, timezone.now())
wanted = apikeys.KeyRequest(name="benchmark")
result = {
    "session": f"Cookie: gatehouse_session={browser.session.session_key}",
    "token": f"Authorization: Bearer {pair.access}",
    "key": f"X-API-Key: {apikeys.create_key(actor=person, user=person, key_request=wanted).text}",
}
"""
# `count` more keys and sessions of all people; their header lines in two files, in any order.
FILL = """
import random
from itertools import cycle
from datetime import timedelta
from uuid import uuid4
from django.test import Client
from django.utils import timezone
from accounts.models import BrowserSession, User
from accounts.sessions.store import PURPOSE as SESSION
from accounts.sessions.store import SessionStore
from core.crypto.tokens import digest
from api.apikeys import key_format
from api.models import ApiKey
from api.apikeys.authenticate import digest_of
from benchmarks.copying import analyze, copy
people = list(User.objects.filter(role="viewer").order_by("email"))
contents = {{}}
for person in people:
    store = SessionStore()
    store.create()
    store["_auth_user_id"] = str(person.pk)
    store["_auth_user_backend"] = "accounts.backends.PasswordBackend"
    store["_auth_user_hash"] = person.get_session_auth_hash()
    contents[person.pk] = store.encode(dict(store.items())), store["_auth_user_hash"]
browser = Client()
browser.force_login(people[0])
name = digest(SESSION, browser.session.session_key)
BrowserSession.objects.filter(pk=name).update(
    last_seen_at=timezone.now() + timedelta(hours=6),
    expire_date=timezone.now() + timedelta(days=7),
)
key, _is_new = ApiKey.objects.get_or_create(id="benchmark1", defaults={{
    "user": people[0], "name": "x", "digest": "x", "ending": "x", "scopes": ["read"],
    "last_used_at": timezone.now() + timedelta(hours=6)}})
keys = [key_format.make() for _number in range({count})]
copy(key, ("id", "user_id", "digest", "ending"),
     ((key.id, person.pk, digest_of(key), key.ending) for key, person in zip(keys, cycle(people))))
cookies = [uuid4().hex for _number in range({count})]
session = BrowserSession.objects.get(pk=name)
copy(session, ("session_key", "public_id", "user_id", "session_data", "state"),
     ((digest(SESSION, cookie), uuid4(), person.pk, *contents[person.pk])
      for cookie, person in zip(cookies, cycle(people))))
def keep(name, lines, kept=200_000):
    path = f"{folder}/{{name}}.headers"
    try:
        lines += open(path).read().splitlines()
    except FileNotFoundError:
        pass
    random.shuffle(lines)
    open(path, "w").write("\\n".join(lines[:kept]) + "\\n")
keep("key", [f"X-API-Key: {{key.text}}" for key in keys])
keep("session", [f"Cookie: gatehouse_session={{cookie}}" for cookie in cookies])
analyze()
result = None
"""
# Ends a key; when that was done, in seconds since 1970.
REVOKE = """
import time
from django.utils import timezone
from api.models import ApiKey
from api.apikeys import key_format
ApiKey.objects.filter(pk=key_format.parse({key!r}).id).update(revoked_at=timezone.now())
result = time.time()
"""
