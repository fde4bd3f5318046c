"""Health, request ids, security headers and logs, on every kind of answer."""

import json
import logging
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from config.logging_config import JSONFormatter, PathFilter, logging_settings
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def test_live_responds_ok_without_a_query(
    stranger: Client, django_assert_num_queries: Callable[..., object]
) -> None:
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        answer = stranger.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_lists_each_component(stranger: Client) -> None:
    answer = stranger.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "parts": {"database": "ok", "counters": "ok", "migrations": "ok"},
    }


def test_ready_fails_without_the_database(
    stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise OSError("no route")

    monkeypatch.setattr(connection, "cursor", gone)
    answer = stranger.get("/health/ready")

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["parts"]["database"] == "unavailable"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health/live", 200), ("/sign-in", 200), ("/account/", 302), ("/nowhere", 404)],
)
def test_every_answer_carries_the_security_headers(
    stranger: Client, path: str, status: int
) -> None:
    answer = stranger.get(path)

    assert answer.status_code == status
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "object-src 'none'" in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize("origin", ["null", "https://good.evil", "https://evil.good"])
def test_no_other_origin_is_echoed(stranger: Client, origin: str) -> None:
    answer = stranger.get("/sign-in", headers={"origin": origin})

    assert "Access-Control-Allow-Origin" not in answer
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize("given", ["abcd1234", "A-b_c" * 10])
def test_a_well_formed_request_id_is_kept(stranger: Client, given: str) -> None:
    assert stranger.get("/health/live", headers={"x-request-id": given})["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, "has space1", "new\\nline123"])
def test_an_invalid_request_id_is_replaced(stranger: Client, given: str) -> None:
    answered = stranger.get("/health/live", headers={"x-request-id": given})["X-Request-ID"]

    assert answered != given
    assert len(answered) == 16


def test_a_form_without_its_token_is_refused(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post("/sign-in", {"login": viewer.email, "password": PASSWORD})

    assert answer.status_code == 403
    assert client.get("/account/").status_code == 302


def test_a_form_from_another_site_is_rejected(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/sign-in")
    token = client.cookies["gatehouse_csrf"].value

    answer = client.post(
        "/sign-in",
        {"login": viewer.email, "password": PASSWORD, "csrfmiddlewaretoken": token},
        headers={"origin": "https://evil.example"},
    )

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "next_url",
    ["//evil.com", "https://evil.com", "https:evil.com", "/\\evil.com", "javascript:alert(1)",
     "\\\\evil.com", "/%0d%0aSet-Cookie:x", "http:///evil.com", "///evil.com", " //evil.com"],
)  # fmt: skip
def test_sign_in_redirects_only_to_own_pages(viewer: User, next_url: str) -> None:
    answer = Client().post(
        "/sign-in", {"login": viewer.email, "password": PASSWORD, "next": next_url}
    )

    assert answer.status_code == 302
    assert answer["Location"] in ("/account/", "/%0d%0aSet-Cookie:x")
    assert "\n" not in answer["Location"]


def test_sign_in_redirects_to_the_requested_page(viewer: User) -> None:
    answer = Client().post(
        "/sign-in", {"login": viewer.email, "password": PASSWORD, "next": "/account/password"}
    )

    assert answer["Location"] == "/account/password"


def test_a_log_line_is_json_with_known_fields_only() -> None:
    record = logging.LogRecord("gatehouse.request", 20, "f", 1, "request", None, None)
    record.route, record.status, record.secret = "sign-in", 302, "hush"

    line = json.loads(JSONFormatter().format(record))

    assert {key: line[key] for key in ("level", "message", "route", "status")} == {
        "level": "info",
        "message": "request",
        "route": "sign-in",
        "status": 302,
    }
    assert "hush" not in str(line)


def test_neither_password_nor_link_is_logged(
    viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client()
    client.post("/sign-in", {"login": "hunter2-typed-as-login", "password": "typed-secret"})
    client.post("/sign-in", {"login": viewer.email, "password": PASSWORD})
    client.get("/magic-link/token-in-path")
    client.get("/password/reset/token-in-path")

    formatted = " ".join(JSONFormatter().format(record) for record in caplog.records)
    for secret in ("hunter2-typed-as-login", "typed-secret", PASSWORD, "token-in-path"):
        assert secret not in formatted


SECRET_PATH = "/magic-link/a-live-secret"


@pytest.mark.parametrize(("method", "status"), [("BREW", 403), ("POST", 403), ("GET", 500)])
def test_no_message_of_django_contains_a_path(
    method: str, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A form without its token, an odd method, and a database that is away."""
    handlers = logging_settings("info", "json")["handlers"]
    caplog.set_level(logging.INFO)
    if method == "GET":
        monkeypatch.setattr("magiclinks.services.find_link", _no_database)
    # A form of our own page would be shown again; this one comes from another site.
    headers = {"host": "localhost:8000", "sec-fetch-site": "cross-site"}
    client = Client(enforce_csrf_checks=True, raise_request_exception=False, headers=headers)
    answer = client.generic(method, SECRET_PATH)
    written = [
        JSONFormatter().format(record) for record in caplog.records if PathFilter().filter(record)
    ]

    assert handlers["stderr"]["filters"] == ["paths"]
    assert answer.status_code == status
    assert any(": /magic-link/<str:token>" in line for line in written)
    assert "a-live-secret" not in " ".join(written)


def _no_database(_token: str) -> None:
    raise OperationalError
