"""A full disk and unreadable rows: the affected requests are denied without a server error."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.conftest import StartSite
from tests.attacks.endpoints import (
    ANONYMOUS_STATUSES,
    BY_KEY_OR_TOKEN,
    bearer,
    code_of,
    statuses_at_endpoints,
)
from tests.attacks.programs import TOKEN, Program
from tests.attacks.site import PASSWORD, Site

KEY_GONE = ANONYMOUS_STATUSES | {"api": 403}
BY_SESSION = {"page": 200, "api": 200, "app": 200, "admin": 403, "session tokens": 403}
OF_KEY = "UPDATE api_apikey SET {} WHERE id = %s"


def sign_in(site: Site, email: str) -> int:
    visitor = site.visitor()
    visitor.get("/sign-in")
    status = visitor.post("/sign-in", {"login": email, "password": PASSWORD}).status
    assert any("session" in name for name in visitor.cookies) == (status == 302)
    return int(status)


@pytest.mark.parametrize(
    "stored", ["argon2$broken", "argon2$argon2id$v=19$x", "md9$1$x$y", "$", ""]
)
def test_an_unreadable_password_hash_accepts_no_password(site: Site, stored: str) -> None:
    email = site.user("editor")
    site.drive(f"User.objects.filter(email={email!r}).update(password={stored!r})")

    assert sign_in(site, email) == 401
    answer = site.visitor().send("POST", TOKEN, {"email": email, "password": PASSWORD})
    assert code_of(answer) == (401, "bad_credentials")


@pytest.mark.parametrize(
    ("column", "stored", "worth"),
    [
        ("scopes", '{"read": true}', "nothing"),
        ("scopes", "null", "nothing"),
        ("scopes", '["emperor"]', "nothing"),
        ("scopes", '["emperor", "read"]', "reading"),
        ("networks", '["nonsense"]', "gone"),
        ("networks", "null", "gone"),
        ("networks", "{}", "gone"),
        ("networks", '""', "gone"),
        ("networks", "[1]", "gone"),
        ("networks", "[]", "reading"),
    ],
)
def test_a_key_with_an_unreadable_row_gives_no_access(
    site: Site, column: str, stored: str, worth: str
) -> None:
    headers = {"X-API-Key": site.api_key(site.user("editor"))}
    key_id = headers["X-API-Key"][4:14]
    site.drive(
        "with connection.cursor() as cursor:\n"
        f"    cursor.execute({OF_KEY.format(f'{column} = %s')!r}, [{stored!r}, {key_id!r}])"
    )

    wanted = {
        "nothing": ANONYMOUS_STATUSES | {"api": 403, "app": 403},
        "gone": KEY_GONE,
        "reading": BY_KEY_OR_TOKEN,
    }
    assert statuses_at_endpoints(site, headers) == wanted[worth]


@contextmanager
def full_disk(site: Site) -> Iterator[None]:
    """No file of the server's processes grows: the system's own limit, which needs no root."""
    first = site.server.processes[0].process.pid
    processes = [first, *_children(first)]
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in processes:
            endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, endless)


def _children(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for file in files for child in file.read_text().split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


def test_a_full_disk_stops_sign_ins_and_keeps_live_sessions(start_site: StartSite) -> None:
    site = start_site("nginx", "sqlite")
    email, other = site.user("editor"), site.user("viewer")
    browser, program, key = site.signed_in(email), Program(site, email), site.api_key(email)
    visitor = site.visitor()
    visitor.get("/sign-in")
    answers = {}

    with full_disk(site):
        form = {"login": other, "password": PASSWORD}
        answers["sign-in"] = visitor.post("/sign-in", form)
        answers["token"] = visitor.send("POST", TOKEN, {"email": other, "password": PASSWORD})
        refresh = {"refresh": program.refresh}
        answers["refresh"] = visitor.send("POST", f"{TOKEN}/refresh", refresh)
        by_token = bearer(program.access)
        answers["change"] = visitor.send("PATCH", "/api/v1/me", {"name": "x"}, by_token)
        alive = visitor.get("/health/live").status
        worth = [
            statuses_at_endpoints(site, {}, browser),
            statuses_at_endpoints(site, by_token),
            statuses_at_endpoints(site, {"X-API-Key": key}),
        ]
        anonymous = statuses_at_endpoints(site, {})

    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 503)
    assert {answer.headers["retry-after"] for answer in answers.values()} == {"5"}
    assert not any("session" in name for name in visitor.cookies)
    assert (alive, anonymous) == (200, ANONYMOUS_STATUSES)
    # Each use of a key at the API is counted: what cannot be counted is not given.
    assert worth == [BY_SESSION, BY_KEY_OR_TOKEN, BY_KEY_OR_TOKEN | {"api": 503}]
    left = site.drive(
        "from audit import audit_log\nfrom audit.models import AuditEvent\n"
        f"user = User.objects.get(email={other!r})\n"
        "result = [user.token_families.count(), user.sessions.count(),"
        " AuditEvent.objects.filter(target_id=user.pk, result='success').count(),"
        " audit_log.verify().broken_at]"
    )
    assert left == [0, 0, 0, None]
    assert sign_in(site, other) == 302
    assert visitor.send("POST", f"{TOKEN}/refresh", refresh).status == 200
