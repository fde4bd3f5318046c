"""The audit log over the API."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from api.views import audit as audit_view
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
        "sentence": "Ada Admin did “test:one:act” (Vera Viewer).",
        "result": "success",
        "actor_id": str(admin.pk),
        "actor_email": "admin@example.com",
        "target_id": str(viewer.pk),
        "target_email": "viewer@example.com",
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


def test_each_event_is_a_sentence(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    browser, client = browser_of(admin), "203.0.113.7"
    browser.patch(
        f"{API}/users/{viewer.pk}",
        {"role": "editor"},
        content_type="application/json",
        REMOTE_ADDR=client,
    )

    def told() -> dict[str, Any]:
        query = f"action=account:role:change&ip={client}&channel=web"
        (event,) = browser.get(f"{API}/audit-events?{query}").json()["results"]
        found: dict[str, Any] = event
        return found

    event = told()
    assert event["sentence"] == "Ada Admin changed the role of Vera Viewer from viewer to editor."
    assert (event["ip"], event["detail"]) == (client, {"before": "viewer", "after": "editor"})
    key = str(viewer.pk)
    viewer.delete()
    event = told()
    assert (event["target_email"], event["target_id"]) == (None, key)
    assert "a deleted account" in event["sentence"]


def test_sentences_are_in_the_language_of_the_caller(
    admin: User, browser_of: BrowserOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browser_of(admin)
    monkeypatch.setattr(audit_view, "sentence_of", lambda _event: translation.get_language())

    for language in ("de", "en"):
        answer = browser.get(f"{API}/audit-events", headers={"accept-language": language})
        assert {row["sentence"] for row in answer.json()["results"]} == {language}
