"""/api/v1/access-reviews: the same decisions as the pages."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access_reviews.models import AccessReview
from accounts.models import User
from api.models import ApiKey
from tests.access_reviews.conftest import StartReview, item_of, seen_of
from tests.api.calls import call, problem
from tests.api.keys import made

pytestmark = pytest.mark.django_db
PATH = "access-reviews"


def errors(answer: Any) -> list[str]:
    assert problem(answer) == (402, "record_invalid")
    return sorted(answer.json()["errors"])


def items_of(browser: Any, review: AccessReview, query: str = "") -> dict[str, Any]:
    found = call(browser, "GET", f"{PATH}/{review.pk}/items{query}").json()["results"]
    return {item["email"]: item for item in found}


def test_a_review_is_started_read_and_listed(owner: User, admin: User, browser_of: Any) -> None:
    browser = browser_of(owner)
    due = "2999-01-01T12:00:00Z"
    body = {"name": "Admins", "scope": "role", "min_role": "admin", "due_at": due}

    answer = call(browser, "POST", PATH, body)

    assert answer.status_code == 201
    found = answer.json()
    assert answer["Location"].endswith(f"/api/v1/access-reviews/{found['id']}")
    assert found["reviewers"] == [str(owner.pk)]
    assert (found["items"], found["undecided"], found["closed_at"]) == (2, 2, None)
    assert found["started_by"] == str(owner.pk)
    assert call(browser, "GET", f"{PATH}/{found['id']}").json() == found
    assert call(browser, "GET", PATH).json()["results"] == [found]
    assert call(browser, "GET", f"{PATH}?state=closed").json()["results"] == []
    assert call(browser, "GET", f"{PATH}?state=overdue").json()["results"] == []
    AccessReview.objects.update(due_at=timezone.now())
    assert len(call(browser, "GET", f"{PATH}?state=overdue").json()["results"]) == 1


def test_all_errors_are_told_at_once(owner: User, editor: User, browser_of: Any) -> None:
    body = {
        "name": "",
        "due_at": "2020-01-01T00:00:00Z",
        "scope": "role",
        "reviewers": [str(editor.pk)],
        "frobnicate": 1,
    }

    answer = call(browser_of(owner), "POST", PATH, body)

    assert errors(answer) == ["due_at", "frobnicate", "min_role", "name", "reviewers"]
    assert not AccessReview.objects.exists()


def test_access_is_confirmed_and_taken_away(
    owner: User, editor: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    key = made(editor, "script").key
    review, browser = start(owner), browser_of(owner)
    items = items_of(browser, review)
    path = f"{PATH}/{review.pk}/items"

    kept = call(
        browser,
        "POST",
        f"{path}/{items[viewer.email]['id']}/decide",
        {"decision": "confirm", "seen": items[viewer.email]["seen"], "note": "ok"},
    )
    taken = call(
        browser,
        "POST",
        f"{path}/{items[editor.email]['id']}/decide",
        {
            "decision": "take_away",
            "seen": items[editor.email]["seen"],
            "role": "viewer",
            "keys": [key.pk],
        },
    )

    assert (kept.status_code, taken.status_code) == (200, 200)
    assert (kept.json()["decision"], kept.json()["note"]) == ("confirmed", "ok")
    assert kept.json()["decided_by"] == str(owner.pk)
    assert taken.json()["effect"] == {
        "role_before": "editor",
        "role_after": "viewer",
        "keys": [key.pk],
    }
    assert User.objects.get(pk=editor.pk).role == "viewer"
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    assert items_of(browser, review, "?decision=confirmed").keys() == {viewer.email}
    assert items_of(browser, review, f"?user={editor.pk}").keys() == {editor.email}


def test_a_decision_about_access_that_has_changed_is_refused(
    owner: User, editor: User, browser_of: Any, start: StartReview
) -> None:
    review, browser = start(owner), browser_of(owner)
    item = items_of(browser, review)[editor.email]
    made(editor, "new")
    path = f"{PATH}/{review.pk}/items/{item['id']}/decide"

    answers = [
        call(browser, "POST", path, {"decision": "confirm", "seen": item["seen"]}),
        call(browser, "POST", path, {"decision": "confirm"}),
        call(browser, "POST", path, {"decision": "take_away", "disable": True, "seen": "x"}),
    ]

    assert [errors(answer) for answer in answers] == [["seen"]] * 3
    assert item_of(review, editor).decision == "open"
    present = items_of(browser, review)[editor.email]
    assert len(present["access"]["keys"]) == 1
    assert present["access_at_start"]["keys"] == []


def test_ranks_hold(admin: User, owner: User, browser_of: Any, start: StartReview) -> None:
    review, browser = start(admin), browser_of(admin)
    item = items_of(browser, review)[owner.email]
    body = {"decision": "take_away", "disable": True, "seen": item["seen"]}

    answer = call(browser, "POST", f"{PATH}/{review.pk}/items/{item['id']}/decide", body)

    assert problem(answer) == (403, "forbidden")
    assert User.objects.get(pk=owner.pk).is_active
    assert item_of(review, owner).decision == "open"


def test_later_needs_nothing_and_a_second_decision_is_refused(
    owner: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    review, browser = start(owner), browser_of(owner)
    path = f"{PATH}/{review.pk}/items/{item_of(review, viewer).pk}/decide"

    later = call(browser, "POST", path, {"decision": "later", "note": "ask"})
    done = call(browser, "POST", path, {"decision": "confirm", "seen": seen_of(viewer)})
    again = call(browser, "POST", path, {"decision": "confirm", "seen": seen_of(viewer)})

    assert (later.status_code, done.status_code) == (200, 200)
    assert later.json()["decision"] == "later"
    assert errors(again) == ["item"]


def test_a_review_is_closed_and_exported(
    owner: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    review, browser = start(owner), browser_of(owner)

    closed = call(browser, "POST", f"{PATH}/{review.pk}/close", {"reason": "Enough"})
    again = call(browser, "POST", f"{PATH}/{review.pk}/close", {"reason": "Enough"})
    file = browser.get(f"/api/v1/{PATH}/{review.pk}/export")

    assert (closed.status_code, closed.json()["undecided"]) == (200, 2)
    assert closed.json()["closed_by"] == str(owner.pk)
    assert errors(again) == ["review"]
    assert file["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode())))
    assert {row["email"] for row in rows} == {owner.email, viewer.email}


def test_an_account_of_another_review_is_not_found(
    owner: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    first, second = start(owner), start(owner, due_at=timezone.now() + timedelta(days=3))
    path = f"{PATH}/{first.pk}/items/{item_of(second, viewer).pk}/decide"

    answer = call(browser_of(owner), "POST", path, {"decision": "later"})

    assert problem(answer) == (404, "not_found")
