"""The audit log over the API."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit import audit_log
from tests.api.calls import API, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


def _actions(browser: Client, query: str) -> list[str]:
    answer = browser.get(f"{API}/audit-events?{query}")
    assert answer.status_code == 200, answer.content
    return [row["action"] for row in answer.json()["results"]]


def test_events_are_listed_newest_first_with_all_fields(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    audit_log.record("test:one:act", actor=admin, target=viewer, before="x")

    event = browser.get(f"{API}/audit-events").json()["results"][0]

    assert event.pop("at").startswith("20")
    assert event == {
        "seq": 2,
        "action": "test:one:act",
        "result": "success",
        "actor_id": str(admin.pk),
        "target_id": str(viewer.pk),
        "channel": "worker",
        "ip": "",
        "request_id": "",
        "detail": {"before": "x"},
    }


def test_filters_narrow_the_log(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    audit_log.record("test:one:act", actor=admin, target=viewer)
    audit_log.record("test:two:act", actor=viewer, result="refused")
    later = (timezone.now() + timedelta(hours=1)).isoformat().replace("+", "%2B")

    assert _actions(browser, "action=test:one:act") == ["test:one:act"]
    assert _actions(browser, f"actor={viewer.pk}") == ["test:two:act"]
    assert _actions(browser, f"target={viewer.pk}") == ["test:one:act"]
    assert _actions(browser, f"result=refused&actor={viewer.pk}") == ["test:two:act"]
    assert _actions(browser, f"after={later}") == []
    assert len(_actions(browser, f"before={later}")) == 3
    assert problem(browser.get(f"{API}/audit-events?actor=me")) == (402, "record_invalid")


def test_editors_cannot_read_the_audit_log(editor: User, browser_of: BrowserOf) -> None:
    assert problem(browser_of(editor).get(f"{API}/audit-events")) == (403, "forbidden")
