"""Complete requests by the WSGI fast path, compared with Django's responses."""

import io
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.wsgi import WSGIHandler
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.access_policy import DenialReason
from accounts.models import BrowserSession, User
from api.models import ApiKey
from api.tokens import refresh_tokens
from core.invalidation.data_version import current_data_version
from forward_auth import authentication, cache, wsgi
from forward_auth.checker import Checker
from forward_auth.models import AccessRule, Denial
from forward_auth.services.denials import write_denials
from forward_auth.services.key_usage import write_notes
from forward_auth.wsgi import FastPath
from moderation.models import Ban
from tests.api.keys import made

pytestmark = pytest.mark.django_db
Environ = dict[str, Any]
Answer = tuple[str, dict[str, str], bytes]
BOARD = {
    "HTTP_X_ORIGINAL_URL": "https://app.example.com/board",
    "HTTP_X_ORIGINAL_METHOD": "GET",
}
PATHS = ["/auth/check", "/auth/forward"]


def _environ(path: str, **more: str) -> Environ:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost:8000",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        **more,
    }


def _ask(application: Any, environ: Environ) -> Answer:
    heard: list[Any] = []
    body = b"".join(application(dict(environ), lambda *said: heard.extend(said)))
    return heard[0], dict(heard[1]), body


@pytest.fixture
def front() -> FastPath:
    return FastPath(WSGIHandler(), Checker(current_data_version))


def _without_answers(_environ: Environ, _start: Any) -> list[bytes]:
    raise AssertionError("Django was asked")


@pytest.fixture
def alone() -> FastPath:
    """Has no Django behind it."""
    return FastPath(_without_answers, Checker(current_data_version))


def _same(answer: Answer) -> Answer:
    """Without what differs from request to request, and in a 204 what no proxy reads."""
    status, headers, body = answer
    reference = headers.pop("X-Gatehouse-Reference", "")
    headers.pop("X-Request-ID", None)
    if status.startswith("204"):
        headers = {
            name: value
            for name, value in headers.items()
            if name == "Cache-Control" or name.startswith("Remote-")
        }
    return status, headers, body.replace(reference.encode(), b"REFERENCE") if reference else body


def _assert_same(front: FastPath, environ: Environ) -> str:
    long = _same(_ask(WSGIHandler(), environ))
    for _again in range(3):
        assert _same(_ask(front, environ)) == long
    return long[0]


def _session(user: User) -> str:
    client = Client()
    client.force_login(user)
    session: SessionBase = client.session
    return str(session.session_key)


def _offer(user: User, kind: str) -> dict[str, str]:
    """A credential of this kind, as an environment has it."""
    return {
        "key": {"HTTP_X_API_KEY": made(user).text},
        "session": {"HTTP_COOKIE": f"gatehouse_session={_session(user)}"},
        "token": {"HTTP_AUTHORIZATION": f"Bearer {_token(user)}"},
    }[kind]


def _token(user: User) -> str:
    return refresh_tokens.start_by_password(user, timezone.now()).access


@pytest.mark.parametrize("path", ["/health/live", "/.well-known/jwks.json"])
@pytest.mark.parametrize("language", ["", "de", "en", "xx"])
def test_public_responses_equal_djangos(front: FastPath, path: str, language: str) -> None:
    assert _assert_same(front, _environ(path, HTTP_ACCEPT_LANGUAGE=language)) == "200 OK"


@pytest.mark.parametrize(
    "more",
    [
        {"REQUEST_METHOD": "HEAD"},
        {"QUERY_STRING": "a=1"},
        {"HTTP_ORIGIN": "https://elsewhere.example"},
        {"HTTP_IF_NONE_MATCH": "*"},
        {"HTTP_COOKIE": "gatehouse_language=de"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
    ],
)
@pytest.mark.parametrize("path", ["/health/live", "/.well-known/jwks.json", *PATHS])
def test_unusual_requests_get_djangos_response(
    front: FastPath, path: str, more: dict[str, str]
) -> None:
    _assert_same(front, _environ(path))
    _assert_same(front, _environ(path, **more))


@pytest.mark.parametrize("path", ["/health/live", "/.well-known/jwks.json"])
def test_public_responses_are_only_for_allowed_hosts(front: FastPath, path: str) -> None:
    _assert_same(front, _environ(path))

    assert _ask(front, _environ(path, HTTP_HOST="evil.example"))[0] == "400 Bad Request"


def test_cached_decisions_do_not_call_django(front: FastPath) -> None:
    paths = ["/health/live", "/.well-known/jwks.json", "/auth/check"]
    _ask(front, _environ(paths[1]))  # makes the first key, and with that another epoch
    first = [_ask(front, _environ(path)) for path in paths]
    front.django = _without_answers

    assert [_same(_ask(front, _environ(path))) for path in paths] == list(map(_same, first))


def test_a_request_keeps_the_id_that_the_proxy_gave(front: FastPath) -> None:
    for _again in range(2):
        _status, headers, _body = _ask(
            front, _environ("/auth/check", HTTP_X_REQUEST_ID="from-the-proxy-1")
        )
        assert headers["X-Request-ID"] == "from-the-proxy-1"
    assert _ask(front, _environ("/auth/check"))[1]["X-Request-ID"] != "from-the-proxy-1"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("path", PATHS)
def test_denials_equal_djangos(
    front: FastPath, viewer: User, make_user: Callable[..., User], path: str, language: str
) -> None:
    AccessRule.objects.create(name="shut", effect="deny", path="/shut")
    key, none = made(viewer).text, _session(make_user("none", "nobody@example.com"))
    asked = [
        ({}, "401 Unauthorized"),
        ({"HTTP_X_API_KEY": "gth_wrong"}, "401 Unauthorized"),
        ({"HTTP_AUTHORIZATION": "Bearer a.b.c"}, "401 Unauthorized"),
        ({"HTTP_COOKIE": "gatehouse_session=wrong"}, "401 Unauthorized"),
        ({"HTTP_COOKIE": f"gatehouse_session={none}"}, "403 Forbidden"),
        ({"HTTP_X_API_KEY": key, "HTTP_X_ORIGINAL_METHOD": "POST"}, "403 Forbidden"),
        ({"HTTP_X_API_KEY": key, "QUERY_STRING": "role=admin"}, "403 Forbidden"),
        (
            {"HTTP_X_API_KEY": key, "HTTP_X_ORIGINAL_URL": "https://app.example.com/shut"},
            "403 Forbidden",
        ),
    ]
    for more, status in asked:
        environ = _environ(path, HTTP_ACCEPT_LANGUAGE=language, **{**BOARD, **more})
        environ["HTTP_ACCEPT"] = "application/json"
        assert _assert_same(front, environ) == status


def test_other_responses_of_django_are_not_cached(
    front: FastPath, viewer: User, settings: Any
) -> None:
    """A key over its quota is no key to Django, while the short way knows its person."""
    settings.API_KEY_MAX = 1
    spent, other = made(viewer).text, made(viewer).text
    asked = {"HTTP_X_ORIGINAL_URL": "https://app.example.com/", "HTTP_X_ORIGINAL_METHOD": "POST"}
    first = _ask(front, _environ("/auth/check", **asked, HTTP_X_API_KEY=spent))
    while first[0] == "403 Forbidden":
        front.responses.clear()
        first = _ask(front, _environ("/auth/check", **asked, HTTP_X_API_KEY=spent))
    said = [_ask(front, _environ("/auth/check", **asked, HTTP_X_API_KEY=other)) for _again in "123"]

    assert (first[0], json.loads(first[2])["code"]) == ("401 Unauthorized", "api_key_invalid")
    assert [(status, json.loads(body)["code"]) for status, _headers, body in said] == [
        ("403 Forbidden", "forbidden")
    ] * 3


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"code": "banned"}'])
def test_a_denial_is_cached_only_with_a_matching_vary(viewer: User, body: bytes) -> None:
    asked = []

    def django(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start("401 Unauthorized", [("X-Gatehouse-Reference", "ABCD2345")])
        return [body]

    front = FastPath(django, Checker(current_data_version))
    for _again in range(3):
        assert _ask(front, _environ("/auth/check", **BOARD))[0] == "401 Unauthorized"

    assert len(asked) == 3


@pytest.mark.parametrize(
    "name", ["HTTP_COOKIE", "HTTP_X_ORIGINAL_URL", "HTTP_X_FORWARDED_FOR", "HTTP_AUTHORIZATION"]
)
@pytest.mark.parametrize("path", [*PATHS, "/sign-in", "/api/v1/me"])
def test_a_header_over_16_kilobytes_is_rejected_at_once(
    alone: FastPath, path: str, name: str
) -> None:
    status, headers, body = _ask(alone, _environ(path, **BOARD | {name: "x" * 16_385}))

    assert status == "431 Request Header Fields Too Large"
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "headers_too_long"


def test_a_header_of_16_kilobytes_is_read(front: FastPath, viewer: User) -> None:
    key = made(viewer).text
    for name in ("HTTP_COOKIE", "HTTP_X_FORWARDED_FOR"):
        asked = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=key, **{name: "x" * 16_384})
        assert _ask(front, asked)[0] == "204 No Content"


def test_every_denial_contains_its_own_reference(front: FastPath) -> None:
    answers = [
        _ask(front, _environ("/auth/check", **{**BOARD, "HTTP_X_ORIGINAL_URL": url}))
        for url in ("https://a.example.com/", "https://b.example.com/", "https://a.example.com/")
    ]
    names = [headers["X-Gatehouse-Reference"] for _status, headers, _body in answers]

    assert names[0] == names[2] != names[1]
    for name, (_status, _headers, body) in zip(names, answers, strict=True):
        assert re.findall(rb"[2-9A-Z]{8}", body) == [name.encode()] * 2


def test_allowed_requests_never_call_django(alone: FastPath, viewer: User) -> None:
    offers = [
        {"HTTP_X_API_KEY": made(viewer).text},
        {"HTTP_AUTHORIZATION": f"Bearer {_token(viewer)}"},
        {"HTTP_COOKIE": f"other=1; gatehouse_session={_session(viewer)}; more=2"},
    ]
    for path in PATHS:
        for offer in offers:
            status, headers, _body = _ask(alone, _environ(path, **BOARD, **offer))
            assert (status, headers["Remote-User"]) == ("204 No Content", viewer.email)


def strike(_user: User) -> DenialReason:
    """A custom check in ACCESS_CHECKS."""
    return DenialReason("strike", "Not today.")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("key", "403 Forbidden"), ("session", "401 Unauthorized"), ("token", "403 Forbidden")],
)
@pytest.mark.parametrize(
    "access_checks",
    [
        ["moderation.access_checks.get_user_denial", f"{__name__}.strike"],
        [f"{__name__}.strike"],
    ],
)
def test_an_additional_access_check_applies_at_once(
    front: FastPath, viewer: User, settings: Any, kind: str, status: str, access_checks: list[str]
) -> None:
    offer = _offer(viewer, kind)
    asked = [_environ(path, **BOARD, HTTP_ACCEPT="application/json", **offer) for path in PATHS]
    before = [_ask(front, one)[0] for one in asked * 2]
    settings.ACCESS_CHECKS = access_checks
    after = [_ask(front, one) for one in asked * 2]

    assert before == ["204 No Content"] * 4
    assert [answer[0] for answer in after] == [status] * 4
    assert {name for answer in after for name in answer[1] if name.startswith("Remote-")} == set()


def test_a_session_row_of_an_older_version_is_left_to_django(
    front: FastPath, alone: FastPath, viewer: User
) -> None:
    asked = _environ("/auth/check", **BOARD, HTTP_COOKIE=f"gatehouse_session={_session(viewer)}")
    long_ago = timezone.now() - timedelta(minutes=6)
    BrowserSession.objects.update(state="", last_seen_at=long_ago)
    with pytest.raises(AssertionError, match="Django was asked"):
        _ask(alone, asked)

    assert _ask(front, asked)[0] == "204 No Content"
    assert BrowserSession.objects.get().state == viewer.get_session_auth_hash()
    assert _ask(alone, asked)[0] == "204 No Content"


def test_a_session_from_before_a_password_change_is_rejected(front: FastPath, viewer: User) -> None:
    asked = _environ("/auth/check", **BOARD, HTTP_COOKIE=f"gatehouse_session={_session(viewer)}")
    assert _ask(front, asked)[0] == "204 No Content"

    User.objects.update(password=make_password("another horse battery staple"))

    assert _ask(front, asked)[0] == "401 Unauthorized"


def test_a_session_row_moved_to_another_user_is_rejected(
    front: FastPath, viewer: User, owner: User
) -> None:
    """Write access to the table of sessions does not allow forging one."""
    asked = _environ("/auth/check", **BOARD, HTTP_COOKIE=f"gatehouse_session={_session(viewer)}")
    BrowserSession.objects.update(user=owner)

    _status, headers, _body = _ask(front, asked)

    assert headers["Remote-User"] == viewer.email


def _odd_cookies(right: str) -> list[str]:
    name = "gatehouse_session"
    return [
        "", ";", "=", "==;=", name, f"{name}=", f"{name}={right}", f" {name} = {right} ",
        f'{name}="{right}"', f'{name}="{right}', f"{name}='{right}'", f"{name}={right};{name}=",
        f"{name}=wrong; {name}={right}", f"{name}={right}; {name}=wrong", f"x{name}={right}",
        f"{name}x={right}", f"{name.upper()}={right}", f"{name}={right}\x00", f"{name}=\x00{right}",
        f"a={'b' * 10_000}; {name}={right}", f"{name}={'c' * 10_000}",
        "; ".join(f"c{number}=v" for number in range(500)) + f"; {name}={right}",
        f"\xa0{name}={right}", f"\xc2\xa0{name}={right}", f"é=ü; {name}={right}",
        f"{name}=\xff\xfe", f"{name}=%00", f"{name}={right}\t", f"{name}\t={right}",
        f"{name}={right}, {name}=x", f"a=b {name}={right}", f"\r\n{name}={right}",
        f'{name}="\\141{right}"', f"{name}=={right}", f"{name};{name}={right}",
    ]  # fmt: skip


def test_cookies_are_parsed_as_by_django(front: FastPath, viewer: User) -> None:
    statuses = {
        _assert_same(front, _environ("/auth/check", **BOARD, HTTP_COOKIE=cookie))
        for cookie in _odd_cookies(_session(viewer))
    }

    assert statuses == {"204 No Content", "401 Unauthorized"}


def test_headers_are_parsed_as_by_django(front: FastPath, viewer: User) -> None:
    key = made(viewer).text
    token = _token(viewer)
    offers = [
        *({"HTTP_AUTHORIZATION": text} for text in (
            "", " ", "Bearer", "Bearer ", f"Bearer {token}", f"bearer {token}", f"BEARER {token}",
            f"Bearer  {token}", f"Bearer\t{token}", f" Bearer {token}", f"Bearer {token} ",
            f"Bearer {token} x", f"Bearer {token},", "Basic YTpi", f"Token {token}", token,
            f"Bearer {token}\x00", f"Bearer {'a' * 10_000}", f"Bearer {'a.' * 5000}a",
            "Bearer \xff.\xfe.\xfd", f"Bearer {token[:-1]}", f"Bearer {token}=", f"Bearer {key}",
        )),
        *({"HTTP_X_API_KEY": text} for text in (
            "", " ", key, f" {key}", f"{key} ", f"{key}\x00", f"{key},{key}", key[:-1], key.upper(),
            "\xff", "k" * 10_000, f'"{key}"', f"Bearer {key}", token,
        )),
        {"HTTP_X_API_KEY": key, "HTTP_AUTHORIZATION": f"Bearer {token}"},
        {"HTTP_X_API_KEY": key, "HTTP_AUTHORIZATION": "Bearer wrong"},
        {"HTTP_X_API_KEY": key, "HTTP_COOKIE": f"gatehouse_session={_session(viewer)}"},
        {"HTTP_X_API_KEY": "", "HTTP_COOKIE": f"gatehouse_session={_session(viewer)}"},
    ]  # fmt: skip
    statuses = {_assert_same(front, _environ("/auth/check", **BOARD, **offer)) for offer in offers}

    assert statuses == {"204 No Content", "401 Unauthorized"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["key", "session", "token"])
def test_without_the_database_every_request_is_denied(
    alone: FastPath, viewer: User, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    def gone(*_arguments: Any) -> None:
        raise OperationalError("database is locked")

    offer = _offer(viewer, kind)
    monkeypatch.setattr(authentication, "find_credential", gone)
    status, headers, _body = _ask(alone, _environ(path, **BOARD, **offer))

    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "1")
    assert [name for name in headers if name.startswith("Remote-")] == []


def test_unreadable_rules_deny_every_request(
    alone: FastPath, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise OperationalError("no such table")

    monkeypatch.setattr(cache, "load_rules", gone)
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)

    assert _ask(alone, environ)[0] == wsgi.UNAVAILABLE


def test_a_failed_start_of_django_is_retried(viewer: User) -> None:
    def broken(_environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        start("500 Internal Server Error", [("Content-Type", "text/html")])
        return [b"broken"]

    front = FastPath(broken, Checker(current_data_version))
    for path in PATHS:
        status, headers, _body = _ask(front, _environ(path, **BOARD))
        assert (status, headers["Retry-After"]) == (wsgi.UNAVAILABLE, "1")


def test_a_ban_applies_to_the_next_check(front: FastPath, viewer: User) -> None:
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)
    before = [_ask(front, environ)[0] for _again in range(2)]
    Ban.objects.create(user=viewer, kind="manual", created_at=timezone.now())

    assert before == ["204 No Content"] * 2
    assert _ask(front, environ)[0] == "403 Forbidden"


def test_the_use_of_a_key_is_written_by_the_worker(alone: FastPath, viewer: User) -> None:
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)
    for _again in range(5):
        _ask(alone, environ)
    before = ApiKey.objects.get().last_used_at

    assert (before, write_notes(), write_notes()) == (None, 1, 0)
    key = ApiKey.objects.get()
    assert key.last_used_at is not None
    assert key.last_used_ip == "127.0.0.1"


@pytest.mark.parametrize(("seconds", "written"), [(5, 0), (65, 1)])
def test_a_use_just_recorded_by_another_process_is_not_recorded_again(
    alone: FastPath, viewer: User, seconds: int, written: int
) -> None:
    key = made(viewer).text
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=seconds))
    _ask(alone, _environ("/auth/check", **BOARD, HTTP_X_API_KEY=key))

    assert write_notes() == written


def _scope(environ: Environ, **more: Any) -> dict[str, Any]:
    """The request of which `environ` was made, as the server hands it over."""
    return {
        "method": environ["REQUEST_METHOD"],
        "raw_path": environ["PATH_INFO"].encode(),
        "query_string": environ["QUERY_STRING"].encode(),
        "client": (environ["REMOTE_ADDR"], "40000"),
        "headers": [
            (name.removeprefix("HTTP_").lower().replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ],
        **more,
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", ["key", "session", "token"])
def test_the_cached_response_equals_the_full_one(
    alone: FastPath, viewer: User, path: str, method: str, kind: str
) -> None:
    offer = _offer(viewer, kind)
    environ = _environ(path, **BOARD, **offer, REQUEST_METHOD=method)
    assert alone.cached_response(_scope(environ)) == (None, None)
    for _again in range(2):
        whole = _ask(alone, environ)
    answer, _known = alone.cached_response(_scope(environ))

    assert answer is not None
    message, body = answer
    assert body == {"type": "http.response.body", "body": b""}
    headers = {name.decode(): value.decode() for name, value in message["headers"]}
    assert (message["status"], headers) == (204, whole[1])
    assert headers["Remote-User"] == viewer.email
    again, _known = alone.cached_response(_scope(environ))
    assert again is not None
    assert again[0] is message


def test_a_cached_response_applies_only_to_the_same_request(alone: FastPath, viewer: User) -> None:
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)
    for _again in range(2):
        _ask(alone, environ)
    scope = _scope(environ)
    headers = scope["headers"]
    others: list[dict[str, Any]] = [
        {"method": "POST"},
        {"raw_path": b"/auth/check/"},
        {"raw_path": b"/auth/%63heck"},
        {"query_string": b"role=viewer"},
        {"query_string": b"token=1"},
        {"client": ("192.0.2.7", "40000")},
        {"headers": [(name, value) for name, value in headers if name != b"x-api-key"]},
        {"headers": [*headers, (b"x-forwarded-method", b"")] * 2},
        {"headers": [*headers, (b"x-original-url", dict(headers)[b"x-original-url"])]},
        {"headers": [*headers, (b"cookie", b"a=\xfc")]},
        {"headers": [(name.replace(b"x-api", b"x_api"), value) for name, value in headers]},
    ]

    assert alone.cached_response(scope)[0] is not None
    assert [alone.cached_response({**scope, **other})[0] for other in others] == [None] * len(
        others
    )
    assert (
        alone.cached_response({**scope, "headers": [*headers, (b"x_api_key", b"x")]})[0] is not None
    )


def test_a_ban_invalidates_the_cached_response(front: FastPath, viewer: User) -> None:
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)
    for _again in range(2):
        _ask(front, environ)
    before, _known = front.cached_response(_scope(environ))
    Ban.objects.create(user=viewer, kind="manual", created_at=timezone.now())

    assert before is not None
    assert front.cached_response(_scope(environ)) == (None, None)


def test_a_denial_with_a_redirect_is_never_cached(front: FastPath) -> None:
    """It is a page or a redirect, which Django makes."""
    environ = _environ("/auth/forward", **BOARD)
    whole = [_ask(front, environ)[0] for _again in range(3)]
    answer, known = front.cached_response(_scope(environ))

    assert answer is None
    assert known is not None
    assert known.decision.status == 401
    assert _ask(front, {**environ, wsgi.CACHED_RESULT: known})[0] == whole[-1]


def _denied(front: FastPath, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes] | None:
    """(status, headers, body) of the short answer to a denied request."""
    answer, known = front.cached_response(_scope(environ))
    assert known is not None
    if answer is None:
        return None
    start, body = answer
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert len(headers) == len(start["headers"])
    return start["status"], headers, body["body"]


@pytest.mark.parametrize("client", [{}, {"HTTP_USER_AGENT": "Mozilla/5.0"}])
@pytest.mark.parametrize("credential", [{}, {"HTTP_X_API_KEY": "gh_unknown"}])
def test_the_cached_denial_equals_the_full_one(
    front: FastPath, client: dict[str, str], credential: dict[str, str]
) -> None:
    environ = _environ("/auth/check", **BOARD, **client, **credential, HTTP_X_REQUEST_ID="a" * 16)
    for _first in range(2):
        whole = _ask(front, environ)

    short = _denied(front, environ)

    assert short is not None
    assert whole[0] == "401 Unauthorized"
    assert short == (401, whole[1], whole[2])
    assert len(whole[1]["X-Gatehouse-Reference"]) == 8


def test_a_cached_denial_has_its_own_id_and_is_counted(front: FastPath) -> None:
    environ = _environ("/auth/check", **BOARD)
    for _first in range(2):
        _ask(front, environ)
    answers = [_denied(front, environ) for _again in range(3)]
    write_denials()

    ids = {answer[1]["X-Request-ID"] for answer in answers if answer is not None}
    assert len(ids) == 3
    assert Denial.objects.get().count == 5


def test_a_cached_denial_applies_only_to_the_same_client(front: FastPath) -> None:
    environ = _environ("/auth/check", **BOARD, HTTP_USER_AGENT="curl/8")
    for _first in range(2):
        _ask(front, environ)
    others = [
        {"HTTP_USER_AGENT": "Mozilla/5.0"},
        {"HTTP_SEC_FETCH_MODE": "navigate"},
        {"HTTP_ACCEPT_LANGUAGE": "de"},
        {"HTTP_ORIGIN": "https://app.example.com"},
        {"HTTP_IF_NONE_MATCH": "*"},
        {"HTTP_RANGE": "bytes=0-1"},
        {"REQUEST_METHOD": "HEAD"},
    ]

    assert _denied(front, environ) is not None
    assert [_denied(front, {**environ, **other}) for other in others] == [None] * len(others)


def test_a_cached_denial_expires_after_a_second(
    front: FastPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = _environ("/auth/check", **BOARD)
    for _first in range(2):
        _ask(front, environ)
    assert _denied(front, environ) is not None
    later = time.time() + wsgi.RESPONSE_SECONDS
    monkeypatch.setattr(wsgi.time, "time", lambda: later)

    assert _denied(front, environ) is None


def test_an_unknown_data_version_is_left_to_the_full_check(viewer: User) -> None:
    def gone() -> None:
        raise OperationalError("disk I/O error")

    broken = FastPath(_without_answers, Checker(gone))
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)

    assert broken.cached_response(_scope(environ)) == (None, None)
    assert _ask(broken, environ)[0] == wsgi.UNAVAILABLE


def test_below_a_path_prefix_the_cache_compares_whole_paths(viewer: User, settings: Any) -> None:
    """What is cut from the path may stand in it again: /auth/check is not ours below /auth."""
    settings.PUBLIC_PATH = "/auth"
    below = FastPath(_without_answers, Checker(current_data_version))
    environ = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)
    for _again in range(2):
        _ask(below, environ)

    assert below.cached_response(_scope(environ)) == (None, None)
    assert below.cached_response(_scope(environ, raw_path=b"/auth/auth/check"))[0] is not None
