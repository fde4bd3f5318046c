"""/metrics is correct, and readable only by monitoring."""

import io
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache, partial
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.passwords import hashers
from accounts.roles import Role
from config.wsgi import application
from core import health, metrics
from core.version import VERSION
from mail.models import OutboxMail
from moderation.models import Ban
from tests.conftest import PASSWORD
from tests.metrics.scraped import grown, scrape

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


def test_only_localhost_may_read_by_default(stranger: Client) -> None:
    assert stranger.get("/metrics").status_code == 200
    assert stranger.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 404
    assert stranger.get("/metrics", REMOTE_ADDR="::1").status_code == 200


def test_a_denied_reader_gets_404(stranger: Client) -> None:
    refused = stranger.get("/metrics", REMOTE_ADDR="203.0.113.9")
    unknown = stranger.get("/nothing-here", REMOTE_ADDR="203.0.113.9")

    page = refused.content.decode().replace("/metrics", "/nothing-here")
    assert refused.status_code == unknown.status_code == 404
    assert "gatehouse_" not in page


def test_an_undeclared_proxy_gives_no_access(stranger: Client) -> None:
    answer = stranger.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"})

    assert answer.status_code == 404


def test_behind_a_proxy_the_address_of_the_client_counts(stranger: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = (ip_network("127.0.0.0/8"),)
    settings.METRICS_NETWORKS = (ip_network("192.0.2.0/24"),)

    outside = stranger.get("/metrics", headers={"x-forwarded-for": "203.0.113.9"})
    inside = stranger.get("/metrics", headers={"x-forwarded-for": "192.0.2.7"})
    assert (outside.status_code, inside.status_code) == (404, 200)


def test_without_a_network_no_one_may_read(stranger: Client, settings: Any) -> None:
    settings.METRICS_NETWORKS = ()

    assert stranger.get("/metrics").status_code == 404


def test_the_response_is_in_prometheus_format_and_not_cached(stranger: Client) -> None:
    answer = stranger.get("/metrics")

    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert stranger.post("/metrics").status_code == 405


def test_the_version_is_the_project_s() -> None:
    (build,) = [key for key in scrape() if key[0] == "gatehouse_build_info"]
    assert dict(build[1])["version"] == VERSION


def test_sign_ins_are_counted_by_method_and_result(
    viewer: User, stranger: Client, django_capture_on_commit_callbacks: Any
) -> None:
    before = scrape()

    with django_capture_on_commit_callbacks(execute=True):
        stranger.post("/sign-in", {"login": viewer.email, "password": "wrong guess of mine"})
        stranger.post("/sign-in", {"login": viewer.email, "password": PASSWORD})

    after = grown(before, scrape())
    method = ("method", "password")
    assert after["gatehouse_sign_ins_total", (method, ("result", "refused"))] == 1
    assert after["gatehouse_sign_ins_total", (method, ("result", "success"))] == 1
    action = ("action", "account:session:start")
    assert after["gatehouse_acts_total", (action, ("result", "success"))] == 1
    assert after["gatehouse_sessions", (("kind", "browser"),)] == 1


def test_a_rolled_back_action_is_not_counted(viewer: User, stranger: Client) -> None:
    """The test's own transaction is never committed."""
    before = scrape()

    stranger.post("/sign-in", {"login": viewer.email, "password": PASSWORD})

    assert not [key for key in grown(before, scrape()) if key[0] == "gatehouse_acts_total"]


def test_attempts_beyond_a_limit_are_counted(stranger: Client, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "sign-in": (1, timedelta(minutes=5))}
    before = scrape()

    for _try in range(3):
        stranger.post("/sign-in", {"login": "nobody@example.com", "password": "wrong"})

    key = ("gatehouse_limits_exceeded_total", (("limit", "sign-in"),))
    assert grown(before, scrape())[key] == 2


def test_mails_are_counted_by_status_with_the_age_of_the_oldest_queued() -> None:
    for minutes, status in ((7, "queued"), (90, "sent"), (99, "dead")):
        at = timezone.now() - timedelta(minutes=minutes)
        OutboxMail.objects.create(recipient="a@example.com", status=status, created_at=at)

    values = scrape()
    found = {key[1][0][1]: value for key, value in values.items() if key[0] == "gatehouse_mails"}
    assert found == {"queued": 1, "sending": 0, "waiting": 0, "sent": 1, "dead": 1, "expired": 0}
    assert 420 <= values["gatehouse_mail_queue_age_seconds", ()] < 480


def test_bans_in_force_are_counted(viewer: User) -> None:
    now = timezone.now()
    Ban.objects.create(user=viewer, kind=Ban.Kind.MANUAL, reason="spam")
    Ban.objects.create(user=viewer, kind=Ban.Kind.MANUAL, reason="old", until=now)
    Ban.objects.create(network="203.0.113.9", kind=Ban.Kind.AUTOMATIC, reason="guesses")

    values = scrape()
    assert values["gatehouse_bans", (("kind", "manual"),)] == 1
    assert values["gatehouse_bans", (("kind", "automatic"),)] == 1


def test_checks_are_counted_by_status_and_path(viewer: User, browser_of: BrowserOf) -> None:
    cookies = browser_of(viewer).cookies
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    before = scrape()

    assert [_check(cookie), _check(cookie), _check("")] == ["204", "204", "401"]
    assert Client(headers={"host": "localhost"}).get("/auth/forward").status_code == 401

    after = grown(before, scrape())
    checks = {key[1]: value for key, value in after.items() if key[0] == "gatehouse_checks_total"}
    assert checks == {
        (("status", "204"), ("way", "short")): 2,
        (("status", "401"), ("way", "long")): 2,
    }
    assert after["gatehouse_checks_looked_up_total", ()] == 1


def test_a_check_that_fails_is_counted_as_the_proxy_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("forward_auth.views._check", broken)
    before = scrape()

    browser = Client(headers={"host": "localhost"}, raise_request_exception=False)
    assert browser.get("/auth/forward").status_code == 500

    key = ("gatehouse_checks_total", (("status", "503"), ("way", "long")))
    assert grown(before, scrape())[key] == 1


def _check(cookie: str) -> str:
    """One request of a proxy, as the server hands it over; the status."""
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/auth/check",
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "HTTP_HOST": "localhost:8000",
        "HTTP_COOKIE": cookie,
        "HTTP_X_ORIGINAL_URL": "http://localhost:8000/app",
        "HTTP_X_ORIGINAL_METHOD": "GET",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }
    list(application(environ, lambda status, _headers: statuses.append(status)))
    return statuses[0].partition(" ")[0]


def test_waiting_and_running_hashes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = scrape()
    started, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert go_on.wait(5)

    monkeypatch.setattr(hashers, "_threads", cache(partial(ThreadPoolExecutor, 1)))
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(hashers._hash, hold)
        assert started.wait(5)
        second = callers.submit(hashers._hash, str)
        _until(lambda: metrics.COUNTERS.counts()[metrics.HASHES_WAITING] == 1)
        during = grown(before, scrape())
        go_on.set()
        assert (first.result(5), second.result(5)) == (None, "")

    assert during == {
        ("gatehouse_password_hashes_running", ()): 1,
        ("gatehouse_password_hashes_waiting", ()): 1,
    } | {key: value for key, value in during.items() if "wait_seconds" in key[0]}
    after = grown(before, scrape())
    assert after["gatehouse_password_hashes_total", ()] == 2
    assert after["gatehouse_password_hash_wait_seconds_total", ()] > 0
    assert ("gatehouse_password_hashes_waiting", ()) not in after


def _until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _turn in range(500):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to that")


def test_without_the_database_counters_of_the_process_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_arguments: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(health.connection, "cursor", gone)
    values = scrape()

    assert values["gatehouse_database_up", ()] == 0
    assert values["gatehouse_password_hashes_waiting", ()] >= 0
    assert ("gatehouse_mail_queue_age_seconds", ()) not in values


def test_no_metric_names_a_user(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    text = browser.get("/metrics").content.decode()

    secrets = [viewer.email, str(viewer.pk), browser.cookies["gatehouse_session"].value]
    assert [word for word in secrets if word in text] == []
    assert "127.0.0.1" not in text
    assert re.findall(r"[\w.]+@[\w.]+", text) == []


@pytest.mark.parametrize("role", list(Role))
def test_no_role_gives_access_from_elsewhere(
    role: Role, make_user: Callable[..., User], browser_of: BrowserOf
) -> None:
    browser = browser_of(make_user(role))

    assert browser.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 404
