"""The measurements of the machine face: calls with keys and tokens, refreshes, stored keys."""

import http.client
import json
import re
import sys
from collections.abc import Iterator

from benchmarks.api_plans import CallApi, Refresh, TokensOfSession
from benchmarks.load import Measured
from benchmarks.rows import (
    CONNECTIONS,
    PROCESSES,
    Options,
    Row,
    at_each_count,
    bare_rate,
    folder,
    loader,
)
from benchmarks.servers import PASSWORD, gatehouse, make_data
from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData

# One person with a password, a key, and a link to sign in by.
PREPARE = """
from datetime import timedelta
from django.utils import timezone
from accounts.actors import SYSTEM
from accounts.models import User
from api.apikeys.services import KeyRequest, create_key
from magiclinks.services import issue_link
user = User(email="script@example.com", role="editor", email_verified_at=timezone.now())
user.set_password({password!r})
user.save()
key = create_key(actor=user, user=user, key_request=KeyRequest("benchmark"))
link = issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
result = {{"key": key.text, "link": link.url}}
"""
# Keys of one person, until there are `stored`.
FILL = """
from accounts.models import User
from api.models import ApiKey
from api.apikeys.services import KeyRequest, create_key
from benchmarks.copying import copy
owner, _is_new = User.objects.get_or_create(email="many@example.com")
if not ApiKey.objects.filter(user=owner).exists():
    create_key(actor=owner, user=owner, key_request=KeyRequest("stored"))
pattern = ApiKey.objects.filter(user=owner).first()
there = ApiKey.objects.count()
copy(pattern, ("id",), ((f"{{n * 7919 % 10**10:010}}",) for n in range(there, {stored})))
"""
# Milliseconds of a check of one key, the median of many.
CHECK = """
import statistics, time
from accounts.models import User
from api.apikeys.authenticate import authenticate_key
from api.apikeys.services import KeyRequest, create_key
user = User.objects.create(email="{name}@example.com")
text = create_key(actor=user, user=user, key_request=KeyRequest("measured")).text
for _ in range(500):
    authenticate_key(text, "192.0.2.1")
times = []
for _ in range(5000):
    start = time.perf_counter()
    authenticate_key(text, "192.0.2.1")
    times.append(time.perf_counter() - start)
result = statistics.median(times) * 1000
"""
# Families of one person who signs in by tokens `count` times.
FAMILIES = """
from django.utils import timezone
from accounts.models import User
from api.tokens import refresh_tokens
person = User.objects.filter(role__in=["viewer", "editor"]).first()
result = [refresh_tokens.start_by_password(person, timezone.now()).refresh for _ in range({count})]
"""
FEW = 1_000
PIECE = 100_000  # of what is stored by one process


def measure_api(options: Options) -> Iterator[Row]:
    """Calls with a key and with a token, refreshes, tokens for a browser's session."""
    with folder() as place:
        hello = bare_rate(options, place).rate
        data = make_data(place, options.database_url)
        made = data.shell(PREPARE.format(password=PASSWORD))
        with gatehouse(data, PROCESSES) as (_server, port):
            load = loader(options, port)
            by_key = CallApi({"X-API-Key": made["key"]})
            yield _row("API calls with a key", load(by_key), hello)
            yield from at_each_count("API call with a key", port, options, lambda: by_key)
            pairs = [_tokens(port) for _ in range(options.clients)]
            bearer = {"Authorization": f"Bearer {pairs[0]['access']}"}
            yield _row("API calls with an access token", load(CallApi(bearer)), hello)
            yield _row(
                "refreshes (ES256)", load(Refresh([pair["refresh"] for pair in pairs])), hello
            )
            fresh = ([_tokens(port)["refresh"] for _ in range(clients)] for clients in CONNECTIONS)
            yield from at_each_count("refresh", port, options, lambda: Refresh(next(fresh)))
            cookies, token = _sign_in(port, made["link"])
            yield _row("tokens for a session", load(TokensOfSession(cookies, token)), hello)


def refresh_tokens(data: InstanceData, count: int) -> list[str]:
    """Refresh tokens of families of their own, all of one person.

    The issuer stands in them, so the server must have the PUBLIC_URL that `data` names.
    """
    found: list[str] = data.shell(FAMILIES.format(count=count))
    return found


def _row(what: str, measured: Measured, hello: float) -> Row:
    label = next(name for name in measured.counts if name != "journey")
    return Row(what, "/s", measured.rate(label), hello, AIMS[what])


AIMS = {
    "API calls with a key": 3400.0,
    "API calls with an access token": 0.0,
    "refreshes (ES256)": 1000.0,
    "tokens for a session": 1000.0,
}


def _tokens(port: int) -> dict[str, str]:
    """A sign-in by tokens."""
    request_fields = {"email": "script@example.com", "password": PASSWORD}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/auth/token", json.dumps(request_fields), headers)
    found: dict[str, str] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def _sign_in(port: int, link: str) -> tuple[str, str]:
    """A browser that has used the link: its cookies, and the token that changes need."""
    client = HTTPClient(f"http://127.0.0.1:{port}")
    path = re.sub(r"^https?://[^/]+", "", link)
    client.get(path)
    client.post(path, {})
    token = client.get("/api/v1/me").headers["x-csrf-token"]
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items()), token


def measure_keys(options: Options) -> Iterator[Row]:
    """What a check costs beside a thousand stored keys and beside a million."""
    with folder() as place:
        data = make_data(place, options.database_url)
        few, many = (_check(data, stored) for stored in (FEW, options.stored))
    yield Row(
        f"key check, {options.stored:,} keys stored",
        "ms",
        many,
        few,
        1.2,
        more_is_better=False,
        is_ratio=True,
    )


def _check(data: InstanceData, stored: int) -> float:
    for end in range(min(PIECE, stored), stored + 1, PIECE):
        data.shell(FILL.format(stored=end))
        print(f"{end:,} of {stored:,} keys are made", file=sys.stderr, flush=True)
    return float(data.shell(CHECK.format(name=f"beside{stored}"), API_KEY_MAX="100000000"))
