"""Cursors: every row once, in order, despite changes; invalid ones are rejected."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from audit import audit_log
from tests.api.calls import API, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
BASE_URL = "http://localhost:8000"


@pytest.fixture
def browser(admin: User, browser_of: BrowserOf) -> Client:
    """Of an administrator; the audit log then has ten events, seq 1 to 10."""
    client = browser_of(admin)
    for _number in range(9):
        audit_log.record("test:one:act")
    return client


def _page(browser: Client, url: str) -> tuple[list[int], Any]:
    assert url.startswith(f"{BASE_URL}{API}/audit-events?")
    document = browser.get(url.removeprefix(BASE_URL)).json()
    return [row["seq"] for row in document["results"]], document


def test_next_and_previous_visit_every_row(browser: Client) -> None:
    first, page = _page(browser, f"{BASE_URL}{API}/audit-events?limit=4")
    second, page2 = _page(browser, page["next"])
    third, page3 = _page(browser, page2["next"])

    assert (first, second, third) == ([10, 9, 8, 7], [6, 5, 4, 3], [2, 1])
    assert (page["previous"], page3["next"]) == (None, None)
    back, page4 = _page(browser, page3["previous"])
    start, page5 = _page(browser, page4["previous"])
    assert (back, start, page5["previous"]) == (second, first, None)
    assert _page(browser, page4["next"])[0] == third


def test_new_rows_do_not_shift_pages(browser: Client) -> None:
    _first, page = _page(browser, f"{BASE_URL}{API}/audit-events?limit=4")
    audit_log.record("test:late:act")

    assert _page(browser, page["next"])[0] == [6, 5, 4, 3]


def test_links_keep_the_filters(browser: Client) -> None:
    seqs, page = _page(browser, f"{BASE_URL}{API}/audit-events?limit=5&action=test:one:act")
    rest, last = _page(browser, page["next"])

    assert (seqs, rest, last["next"]) == ([10, 9, 8, 7, 6], [5, 4, 3, 2], None)


def test_a_page_that_is_just_full_has_no_next(browser: Client) -> None:
    seqs, page = _page(browser, f"{BASE_URL}{API}/audit-events?limit=10")

    assert (len(seqs), page["next"]) == (10, None)


def test_links_follow_the_public_url_whatever_the_request_claims(browser: Client) -> None:
    answer = browser.get(
        f"{API}/audit-events/?limit=1",
        headers={"host": "127.0.0.1", "x-forwarded-host": "evil.example"},
    )

    assert answer.json()["next"].startswith(f"{BASE_URL}{API}/audit-events?limit=1&cursor=")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "1e3", "99999999999999999999", ""])
def test_a_limit_out_of_bounds_is_refused(browser: Client, limit: str) -> None:
    answer = browser.get(f"{API}/audit-events", {"limit": limit})

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == ["limit"]


def _spelt(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!!", "é", _spelt("5"), _spelt("<"), _spelt("<x"), _spelt("=5"), _spelt("< "),
     _spelt("<" + "9" * 30), _spelt("<-99999999999999999999"), _spelt("<1;drop"), "A" * 300,
     _spelt("<\x00"), _spelt("<5") + "\n"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["audit-events", "users", "invitations"])
def test_a_garbage_cursor_is_refused(browser: Client, path: str, cursor: str) -> None:
    answer = browser.get(f"{API}/{path}", {"cursor": cursor})

    if cursor == _spelt("<5") + "\n":  # spaces around a value are cut off
        cursor = cursor.strip()
        assert answer.status_code == (200 if path == "audit-events" else 402)
        return
    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == ["cursor"]


def test_a_page_is_one_query_without_a_count(browser: Client) -> None:
    browser.get(f"{API}/audit-events")
    with CaptureQueriesContext(connections["default"]) as queries:
        browser.get(f"{API}/audit-events?limit=2")

    about = [query["sql"] for query in queries if "auditevent" in query["sql"]]
    assert len(about) == 1
    assert "COUNT(" not in about[0].upper()
    assert "LIMIT 3" in about[0]
