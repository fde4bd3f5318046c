"""Faults of docs/runbook.md that no other test stages; see test_runbook.py."""

import socket
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.offboard import offboard
from config import metrics_collectors
from mfa.models import Authenticator
from tests.api.keys import made
from tests.mfa.authenticator import set_up_app
from tests.operations.test_rescue import by_password, is_in, run

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
CHECK = {"X-Original-URL": "http://localhost:8000/", "X-Original-Method": "GET"}


@pytest.fixture
def read_only() -> Iterator[None]:
    """What SQLite says is the same as on a disk that was mounted so."""
    used = [each for each in connections.all() if each.vendor == "sqlite"]
    if len(used) < len(connections.all()):
        pytest.skip("the disk of PostgreSQL is that of another server")

    def switch(value: str) -> None:
        for each in used:
            each.cursor().execute(f"PRAGMA query_only = {value}")

    switch("ON")
    yield
    switch("OFF")


def test_on_a_read_only_disk_live_sessions_go_on(
    owner: User, viewer: User, browser_of: BrowserOf, request: pytest.FixtureRequest
) -> None:
    browser = browser_of(owner)
    request.getfixturevalue("read_only")
    stranger = Client(raise_request_exception=False)

    refused = by_password(stranger, viewer)
    ready = stranger.get("/health/ready")

    assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    assert ready.status_code == 503
    assert ready.json()["parts"] == {
        "database": "ok",
        "counters": "unavailable",
        "migrations": "ok",
    }
    assert stranger.get("/health/live").status_code == 200
    assert not is_in(stranger)
    assert is_in(browser)


def test_a_slow_database_shows_in_its_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def answers_late() -> bool:
        clock[0] += 0.25
        return True

    monkeypatch.setattr(metrics_collectors, "database_answers", answers_late)
    monkeypatch.setattr(metrics_collectors.time, "perf_counter", lambda: clock[0])

    found = {
        sample.name: sample.value
        for metric in metrics_collectors.database_measures()
        for sample in metric.samples
    }

    assert found["gatehouse_database_answer_seconds"] == 0.25
    assert found["gatehouse_database_up"] == 1


def test_passwords_keys_and_checks_ask_for_no_name(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a name was looked up")

    key = made(viewer).text
    monkeypatch.setattr(socket, "getaddrinfo", ask)
    client = Client()

    assert by_password(client, viewer).status_code == 302
    assert Client().post("/magic-link", {"email": viewer.email}).status_code == 200
    assert Client().get("/api/v1/me", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/auth/check", headers=CHECK).status_code == 204


def test_a_missing_migration_shows_in_ready(stranger: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="magiclinks").delete()

    answer = stranger.get("/health/ready")

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    parts = {"database": "ok", "counters": "ok", "migrations": "unavailable"}
    assert answer.json()["parts"] == parts


def test_a_new_secret_key_signs_out_and_locks_out_no_one(
    owner: User, browser_of: BrowserOf, settings: Settings
) -> None:
    app, old = set_up_app(owner), Client()
    by_password(old, owner)
    old.post("/second-factor", {"code": app.code()})
    assert is_in(old)
    Authenticator.objects.update(last_step=0)

    settings.SECRET_KEY = "another secret of more than fifty characters, after the loss"

    assert not is_in(old)
    new = Client()
    by_password(new, owner)
    assert not is_in(new)
    new.post("/second-factor", {"code": app.code()})
    assert is_in(new)


def test_an_admin_who_was_offboarded_is_let_in_again_without_the_thief(
    owner: User, admin: User, browser_of: BrowserOf
) -> None:
    thief = browser_of(admin)
    set_up_app(admin)  # the app of the thief
    offboard(actor=SYSTEM, user=admin)

    link = run(admin.email, "--yes").link

    person = Client()
    person.post(link)
    assert is_in(person)
    assert not is_in(thief)
    assert Authenticator.objects.count() == 0
    call_command("disableuser", admin.email, stdout=StringIO())
    assert not is_in(person)
