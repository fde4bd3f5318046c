"""What each operation takes in this process: `python -m benchmarks.growth.operations USERS`.

Requests go to the WSGI application without a network, each with another user's credential, spread
over all users. Processor time is that of this process and, with PostgreSQL, of the process behind
its connection. The output is JSON: medians in milliseconds by operation.
"""

import io
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import django

django.setup()

from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.actors import SYSTEM  # noqa: E402
from accounts.models import BrowserSession, User  # noqa: E402
from api.apikeys.services import KeyRequest, create_key  # noqa: E402
from api.tokens import refresh_tokens  # noqa: E402
from audit import audit_log  # noqa: E402
from benchmarks.list_times import processor_ms  # noqa: E402
from benchmarks.plans import AGENT, TOKEN, browser_cookies  # noqa: E402
from benchmarks.servers import PASSWORD, email_of  # noqa: E402
from config.wsgi import application  # noqa: E402
from magiclinks.services import issue_link  # noqa: E402

Each = TypeVar("Each")
PEOPLE, WARM, LOOKS = 120, 20, 9
OWNER = "owner@example.com"
CHECK, ME, REFRESH = "/auth/check", "/api/v1/me", "/api/v1/auth/token/refresh"
ORIGINAL = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "GET"}


def call(
    path: str,
    expected: int,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    kind: str = "application/x-www-form-urlencoded",
) -> bytes:
    """GET, or POST of a body; returns the answer's. Raises RuntimeError for another status."""
    where, _mark, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "POST" if body else "GET", "SCRIPT_NAME": "", "PATH_INFO": where,
        "QUERY_STRING": query, "SERVER_NAME": "localhost", "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000",
        "HTTP_USER_AGENT": AGENT, "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.multithread": True,
        "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip
    if body:
        environ |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
    for name, value in (headers or {}).items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    answered: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        answered.append(status)

    answer = application(environ, start_response)
    content = b"".join(answer)
    getattr(answer, "close", lambda: None)()
    if not answered[0].startswith(str(expected)):
        raise RuntimeError(f"{path}: answered {answered[0]}: {content[:300]!r}")
    return content


@dataclass(frozen=True, slots=True)
class Person:
    """A user and what they hold: each a header, but for the refresh token and the link."""

    number: int
    user: User
    session: dict[str, str] = field(repr=False)
    key: dict[str, str] = field(repr=False)
    token: dict[str, str] = field(repr=False)
    refresh: str = field(repr=False)
    link: str = field(repr=False)


def people(users: int) -> list[Person]:
    """Some of the users, spread over all of them."""
    return [_person(users * place // PEOPLE) for place in range(PEOPLE)]


def _person(number: int) -> Person:
    user = User.objects.get(email=email_of(number))
    pair = refresh_tokens.start_by_password(user, timezone.now())
    link = issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
    found = TOKEN.search(link.url)
    if found is None:
        raise RuntimeError("the link has no token")
    return Person(
        number,
        user,
        session_of(user),
        {"X-API-Key": create_key(actor=user, user=user, key_request=KeyRequest("measured")).text},
        {"Authorization": f"Bearer {pair.access}"},
        pair.refresh,
        found[1],
    )


def session_of(user: User) -> dict[str, str]:
    """The cookie of a browser in which this user is signed in."""
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(user)
    return {"Cookie": f"gatehouse_session={browser.session.session_key}"}


def _post_form(path: str, number: int, expected: int, **fields: str) -> None:
    cookies = browser_cookies(number)
    token = cookies.partition("gatehouse_csrf=")[2][:32]
    body = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
    call(path, expected, {"Cookie": cookies}, body)


def _sign_in(person: Person) -> None:
    fields = {"login": person.user.email, "password": PASSWORD}
    _post_form("/sign-in", person.number, 302, **fields)


def _refresh(person: Person) -> None:
    body = json.dumps({"refresh": person.refresh}).encode()
    call(REFRESH, 200, body=body, kind="application/json")


def _append(person: Person) -> None:
    with transaction.atomic():
        audit_log.record("account:session:start", actor=person.user, target=person.user)


# One for each person; the order matters, because a sign-in by link ends what came before it only
# for an address that was not verified.
OF_A_PERSON: dict[str, Callable[[Person], object]] = {
    "check by session": lambda person: call(CHECK, 204, ORIGINAL | person.session),
    "check by key": lambda person: call(CHECK, 204, ORIGINAL | person.key),
    "check by token": lambda person: call(CHECK, 204, ORIGINAL | person.token),
    "API me by session": lambda person: call(ME, 200, person.session),
    "API me by key": lambda person: call(ME, 200, person.key),
    "API me by token": lambda person: call(ME, 200, person.token),
    "refresh": _refresh,
    "sign-in, without the hash": _sign_in,
    "magic link redeemed": lambda person: _post_form(
        f"/magic-link/{person.link}", person.number, 302
    ),
    "audit event written": _append,
}
LISTS = {
    "API list of users": "/api/v1/users",
    "API list of own keys": "/api/v1/api-keys",
    "API list of audit events": "/api/v1/audit-events",
    "API search for an address": "/api/v1/users?q=person777@example.com",
    "API search for a part": "/api/v1/users?q=son777@ex",
    "admin list of users": "/admin/accounts/user/",
    "admin list of sessions": "/admin/accounts/browsersession/",
    "admin list of keys": "/admin/api/apikey/",
    "admin audit log": "/admin/audit/auditevent/",
    "admin search for a part": "/admin/accounts/user/?q=son777@ex",
}


def measure(users: int) -> Iterator[tuple[str, float]]:
    """(operation, median milliseconds) of each."""
    some = people(users)
    # No activity has to be written while checks are measured.
    later = timezone.now() + timedelta(hours=6)
    BrowserSession.objects.filter(user__in=[person.user.pk for person in some]).update(
        last_seen_at=later
    )
    for what, act in OF_A_PERSON.items():
        yield what, _median(act, some)
    owner, _is_new = User.objects.get_or_create(
        email=OWNER,
        defaults={"username": "owner", "role": "owner", "email_verified_at": timezone.now()},
    )
    headers = session_of(owner)
    for what, path in LISTS.items():
        yield what, _median(lambda target: call(target, 200, headers), [path] * LOOKS, warm=2)
    yield "audit event verified", _verified()


def _median(act: Callable[[Each], object], each: Sequence[Each], warm: int = WARM) -> float:
    used = []
    for one in each:
        before = processor_ms()
        act(one)
        used.append(processor_ms() - before)
    return statistics.median(used[warm:])


def _verified() -> float:
    """For one event. The chain is real up to an event behind which the verification ends."""
    before = processor_ms()
    checked = audit_log.verify().checked
    return (processor_ms() - before) / checked


if __name__ == "__main__":
    for what, milliseconds in measure(int(sys.argv[1])):
        print(json.dumps([what, milliseconds]), flush=True)
