"""The audit log over the API."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from accounts.services import users
from accounts.sessions.reauthentication import LIFETIME
from api.views import audit as audit_view
from audit import audit_log
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from forward_auth.services import rules
from moderation.services import bans
from tests.api.calls import API, problem
from tests.api.keys import made

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
        "undoes": None,
        "undone_by": None,
        "undoable": False,
        "undo_reason": "",
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


def test_a_period_has_the_events_that_were_written_out_of_order(
    admin: User, browser_of: BrowserOf
) -> None:
    browser, now = browser_of(admin), timezone.now()
    for action, minutes in (("test:late:act", 20), ("test:early:act", -20), ("test:on:act", 0)):
        event = audit_log.draft(action)
        event.at = now + timedelta(minutes=minutes)
        audit_log.append([event])
    begin, end = (
        (now + timedelta(minutes=minutes)).isoformat().replace("+", "%2B") for minutes in (-30, -10)
    )

    assert _actions(browser, f"after={begin}&before={end}") == ["test:early:act"]
    begin, end = end, (now + timedelta(minutes=21)).isoformat().replace("+", "%2B")
    written = ["test:on:act", "test:late:act", "account:session:start"]
    assert _actions(browser, f"after={begin}&before={end}") == written
    assert _actions(browser, f"before={begin}") == ["test:early:act"]


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


# Undo


def _last() -> str:
    return f"{API}/audit-events/{AuditEvent.objects.latest('seq').seq}"


def _undo(browser: Client, path: str = "", **options: Any) -> Any:
    return browser.post(f"{path or _last()}/undo", content_type="application/json", **options)


def _bearer(key: str) -> dict[str, str]:
    return {"headers": {"x-api-key": key}}  # type: ignore[dict-item]


def test_a_change_is_undone_and_the_events_name_each_other(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    users.change_role(actor=admin, user=viewer, role="editor")
    path, number = _last(), AuditEvent.objects.latest("seq").seq
    before = browser.get(path).json()
    assert (before["undoable"], before["undo_reason"], before["undone_by"]) == (True, "", None)

    answer = _undo(browser)

    assert answer.status_code == 201, answer.content
    done = answer.json()
    assert (done["undoes"], done["undoable"], done["actor_id"]) == (number, True, str(admin.pk))
    assert done["detail"] == {"before": "editor", "after": "viewer"}
    assert User.objects.get(pk=viewer.pk).role == "viewer"
    after = browser.get(path).json()
    reason = f"It was undone already, by entry {done['seq']}."
    assert (after["undoable"], after["undo_reason"]) == (False, reason)
    assert after["undone_by"] == done["seq"]
    listed = {row["seq"]: row for row in browser.get(f"{API}/audit-events").json()["results"]}
    assert (listed[number], listed[done["seq"]]) == (after, done)
    again = _undo(browser, path)
    assert problem(again) == (409, "cannot_undo")
    assert again.json()["detail"] == reason


def test_one_event_tells_what_has_changed_since_and_what_the_role_allows(
    owner: User, admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    users.change_role(actor=owner, user=viewer, role="editor")
    path = _last()
    users.change_role(actor=owner, user=viewer, role="none")

    event = browser.get(path).json()
    assert event["undoable"] is False
    assert event["undo_reason"].startswith("It was changed again on ")
    users.change_role(actor=owner, user=viewer, role="admin")
    event = browser.get(_last()).json()
    assert event["undo_reason"] == "You may only manage people whose role is below your own."
    assert problem(_undo(browser)) == (403, "forbidden")


def test_what_cannot_be_undone_says_why(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    users.delete_user(actor=admin, user=viewer)

    answer = _undo(browser)

    assert problem(answer) == (409, "cannot_undo")
    assert answer.json()["detail"].startswith("This cannot be undone, because the account")
    assert browser.get(_last()).json()["undo_reason"] == answer.json()["detail"]


@pytest.mark.parametrize("number", ["0", "999", str(2**63), str(10**30)])
def test_an_unknown_event_is_not_found(admin: User, browser_of: BrowserOf, number: str) -> None:
    browser = browser_of(admin)

    assert problem(browser.get(f"{API}/audit-events/{number}")) == (404, "not_found")
    assert problem(_undo(browser, f"{API}/audit-events/{number}")) == (404, "not_found")


def test_undo_needs_recent_authentication_and_an_administrator(
    admin: User, editor: User, viewer: User, browser_of: BrowserOf, at_time: Callable[..., object]
) -> None:
    users.disable_user(actor=admin, user=viewer)
    path, browser = _last(), browser_of(admin)

    assert problem(_undo(browser_of(editor), path)) == (403, "forbidden")
    assert problem(_undo(Client(), path)) == (401, "not_authenticated")
    at_time(LIFETIME + timedelta(minutes=1))
    assert problem(_undo(browser, path)) == (403, "confirmation_needed")
    assert not User.objects.get(pk=viewer.pk).is_active


@pytest.mark.parametrize("scope", ["users", "moderation", "read", "service"])
def test_a_key_undoes_what_its_scope_allows(owner: User, viewer: User, scope: str) -> None:
    token = made(owner, scopes=[scope]).text
    users.disable_user(actor=owner, user=viewer)
    of_user = _last()
    bans.ban(actor=owner, user=viewer, duration=None, reason="")
    of_ban = _last()
    rules.create_rule(actor=owner, rule=AccessRule(name="Shop", effect="deny"))
    of_rule = _last()

    found = {
        path: _undo(Client(), path, **_bearer(token)).status_code
        for path in (of_user, of_ban, of_rule)
    }

    users_may, moderators_may = scope == "users", scope == "moderation"
    assert found == {
        of_user: 201 if users_may else 403,
        of_ban: 201 if moderators_may else 403,
        of_rule: 201 if users_may else 403,
    }
    assert User.objects.get(pk=viewer.pk).is_active is users_may
    assert (bans.ban_of(viewer) is None) is moderators_may
    assert AccessRule.objects.exists() is not users_may


def test_undo_takes_no_fields(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    users.disable_user(actor=admin, user=viewer)

    assert problem(_undo(browser_of(admin), data={"force": True})) == (402, "record_invalid")
    assert not User.objects.get(pk=viewer.pk).is_active
