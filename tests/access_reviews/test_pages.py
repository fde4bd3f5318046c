"""The pages of reviews: what they show, refuse and do."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.services.decisions import Removal, confirm, take_away
from accounts.models import User
from accounts.services.users import change_role, delete_user
from audit.models import AuditEvent
from tests.access_reviews.conftest import StartReview, item_of, seen_of
from tests.api.keys import made
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
REVIEWS = "/admin/access_reviews/accessreview/"


def page_of(review: AccessReview, page: str = "change") -> str:
    return f"{REVIEWS}{review.pk}/{page}/"


def page_of_item(item: ReviewItem) -> str:
    return f"{REVIEWS}{item.review_id}/accounts/{item.pk}/"


def told(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def decide(browser: Client, item: ReviewItem, decision: str, **fields: Any) -> Any:
    user = User.objects.get(pk=item.user_id)
    given = {"decision": decision, "seen": seen_of(user), "note": "", "change": ""} | fields
    return browser.post(page_of_item(item), given)


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_only_administrators_see_reviews(
    owner: User, make_user: MakeUser, browser_of: Any, start: StartReview, role: str
) -> None:
    review = start(owner)
    browser = browser_of(make_user(role, "somebody@example.com"))

    for path in (REVIEWS, f"{REVIEWS}add/", page_of(review), page_of(review, "close")):
        assert browser.get(path).status_code == 403
    assert browser.post(page_of(review, "close"), {"reason": "x"}).status_code == 403
    assert AccessReview.objects.get().is_open


def test_an_administrator_starts_a_review_by_the_form(
    admin: User, owner: User, browser_of: Any
) -> None:
    browser = browser_of(admin)
    form = {
        "name": "Admins",
        "scope": "role",
        "min_role": "admin",
        "due_at": "2999-12-01T18:00",
        "reviewers": [str(admin.pk), str(owner.pk)],
        "disable_undecided": "on",
    }

    answer = browser.post(f"{REVIEWS}add/", form)

    review = AccessReview.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page_of(review))
    assert (review.name, review.scope, review.min_role, review.started_by) == (
        "Admins",
        "role",
        "admin",
        admin.pk,
    )
    assert review.disable_undecided
    assert set(review.reviewers.values_list("user_id", flat=True)) == {admin.pk, owner.pk}


def test_the_form_shows_all_errors_beside_their_fields(owner: User, browser_of: Any) -> None:
    form = {"name": "", "scope": "role", "due_at": "2020-01-01T00:00"}

    page = browser_of(owner).post(f"{REVIEWS}add/", form)

    assert page.status_code == 200
    assert sorted(page.context["form"].errors) == ["due_at", "min_role", "name", "reviewers"]
    assert not AccessReview.objects.exists()


def test_the_page_lists_accounts_finds_them_and_marks_what_has_changed(
    owner: User, editor: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    review = start(owner)
    confirm(actor=owner, item=item_of(review, viewer), seen=seen_of(viewer), note="ok")
    change_role(actor=owner, user=editor, role="admin")
    browser = browser_of(owner)

    def names(query: str = "") -> list[str]:
        return [row["name"] for row in browser.get(page_of(review) + query).context["rows"]]

    assert names() == ["Olga Owner", "Edgar Editor"]
    assert names("?show=decided") == ["Vera Viewer"]
    assert names("?show=all&q=vera") == ["Vera Viewer"]
    assert names("?show=open&q=vera") == []
    page = browser.get(page_of(review)).content.decode()
    assert page.count('<span class="badge badge-warn">Changed</span>') == 1
    assert "1 of 3 decided" in page


def test_the_pages_make_the_same_number_of_queries_for_few_and_many_accounts(
    owner: User, make_user: MakeUser, browser_of: Any, start: StartReview
) -> None:
    few = start(owner)
    for number in range(20):
        made(make_user("viewer", f"v{number}@example.com"))
    many = start(owner)
    browser = browser_of(owner)
    counts = []
    for review in (few, many):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(page_of(review)).status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_decision_leads_to_the_next_account(
    owner: User, editor: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    review = start(owner)
    browser = browser_of(owner)
    items = list(review.undecided().order_by("pk"))

    first = decide(browser, items[0], "later", note="ask")
    second = decide(browser, items[1], "confirm", note="needed")
    third = decide(browser, items[2], "take-away", change="none")

    assert [first["Location"], second["Location"], third["Location"]] == [
        page_of_item(items[1]),
        page_of_item(items[2]),
        page_of(review),
    ]
    decisions = list(review.items.order_by("pk").values_list("decision", "note"))
    assert decisions == [("later", "ask"), ("confirmed", "needed"), ("taken-away", "")]
    assert User.objects.get(pk=items[2].user_id).role == "none"


def test_access_that_has_changed_is_shown_again_with_what_it_was(
    owner: User, editor: User, browser_of: Any, start: StartReview
) -> None:
    review = start(owner)
    browser = browser_of(owner)
    seen = seen_of(editor)
    key = made(editor, "new").key

    page = decide(browser, item_of(review, editor), "confirm", seen=seen)

    assert page.status_code == 200
    text = page.content.decode()
    assert "The access has changed since it was shown." in text
    assert "It was: Editor; API keys: -." in text
    assert f"gth_{key.pk}" in text
    assert item_of(review, editor).decision == "open"

    (field,) = [page.context["form"]["seen"].value()]
    answer = decide(browser, item_of(review, editor), "confirm", seen=field)
    assert answer.status_code == 302
    assert item_of(review, editor).decision == "confirmed"


def test_a_refused_removal_is_shown_and_nothing_has_changed(
    owner: User, editor: User, browser_of: Any, start: StartReview
) -> None:
    review = start(owner)
    browser = browser_of(owner)

    empty = decide(browser, item_of(review, editor), "take-away")
    last = decide(browser, item_of(review, owner), "take-away", change="disable")

    assert "Choose what is taken away" in empty.content.decode()
    assert last.status_code == 200
    assert last.context["form"].non_field_errors()
    assert set(review.items.values_list("decision", flat=True)) == {"open"}
    assert User.objects.get(pk=owner.pk).is_active


def test_an_admin_sees_an_owner_but_gets_no_buttons(
    admin: User, owner: User, browser_of: Any, start: StartReview
) -> None:
    review = start(admin)
    browser = browser_of(admin)
    item = item_of(review, owner)

    page = browser.get(page_of_item(item)).content.decode()
    posted = decide(browser, item, "take-away", change="disable")

    assert "You may only manage people whose role is below your own." in page
    assert 'name="decision"' not in page
    assert posted.status_code == 200
    assert User.objects.get(pk=owner.pk).is_active
    assert item_of(review, owner).decision == "open"


def test_ticked_people_are_previewed_and_then_confirmed(
    admin: User, owner: User, editor: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    review = start(admin)
    browser = browser_of(admin)
    made(viewer, "new")
    ticks = [str(item_of(review, user).pk) for user in (owner, editor, viewer)]

    page = browser.post(page_of(review, "preview"), {"item": [*ticks, "nonsense"]})

    assert [one["user"].email for one in page.context["ready"]] == [editor.email]
    assert {one.user.email for one in page.context["left_out"]} == {owner.email, viewer.email}
    assert set(review.items.values_list("decision", flat=True)) == {"open"}
    values = [one["value"] for one in page.context["ready"]]

    answer = browser.post(page_of(review, "confirm"), {"seen_item": values, "note": "all known"})

    assert told(answer) == ["The access of 1 person is confirmed."]
    confirmed = ReviewItem.objects.filter(decision="confirmed")
    assert [(item.user_id, item.note) for item in confirmed] == [(editor.pk, "all known")]


def test_what_changes_between_preview_and_confirmation_is_not_confirmed(
    owner: User, editor: User, browser_of: Any, start: StartReview
) -> None:
    review = start(owner)
    browser = browser_of(owner)
    page = browser.post(page_of(review, "preview"), {"item": str(item_of(review, editor).pk)})
    values = [one["value"] for one in page.context["ready"]]
    change_role(actor=owner, user=editor, role="admin")

    answer = browser.post(page_of(review, "confirm"), {"seen_item": values, "note": ""})

    assert told(answer) == [
        "Skipped 1: The access has changed since it was shown. Look at it again, then decide."
    ]
    assert item_of(review, editor).decision == "open"


def test_nothing_ticked_is_told(owner: User, browser_of: Any, start: StartReview) -> None:
    review = start(owner)
    browser = browser_of(owner)

    nothing = browser.post(page_of(review, "preview"), {})
    forged = browser.post(page_of(review, "confirm"), {"seen_item": "x:y", "note": ""})

    assert told(nothing) == ["Tick at least one person."]
    assert forged.status_code == 302
    assert set(review.items.values_list("decision", flat=True)) == {"open"}


def test_a_review_is_closed_with_a_reason(
    owner: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    review = start(owner)
    browser = browser_of(owner)

    assert "2 accounts have no decision" in browser.get(page_of(review, "close")).content.decode()
    empty = browser.post(page_of(review, "close"), {"reason": " "})
    assert empty.context["form"].errors.keys() == {"reason"}
    answer = browser.post(page_of(review, "close"), {"reason": "Enough"})

    assert answer["Location"] == page_of(review)
    review.refresh_from_db()
    assert (review.close_reason, review.left_undecided) == ("Enough", 2)
    page = browser.get(page_of(review))
    assert "Enough" in page.content.decode()
    assert 'name="item"' not in page.content.decode()


def test_the_file_has_every_account_and_no_formula(
    owner: User, make_user: MakeUser, viewer: User, browser_of: Any, start: StartReview
) -> None:
    formula = make_user("editor", "evil@example.com", name='=HYPERLINK("x")')
    key = made(formula, "a").key
    review = start(owner)
    removal = Removal(role="viewer", keys=[key.pk])
    item = item_of(review, formula)
    take_away(actor=owner, item=item, seen=seen_of(formula), removal=removal, note="+1")
    delete_user(actor=owner, user=viewer)
    browser = browser_of(owner)

    answer = browser.post(page_of(review, "export"), {"kind": "csv"})
    found = b"".join(answer.streaming_content).decode().removeprefix("\ufeff")
    as_json = browser.post(page_of(review, "export"), {"kind": "json"}).json()

    rows = {row["user_id"]: row for row in csv.DictReader(io.StringIO(found))}
    row = rows[str(formula.pk)]
    assert row["name"] == '\'=HYPERLINK("x")'
    assert row["note"] == "'+1"
    assert (row["role"], row["role_afterwards"], row["decision"], row["decided_by"]) == (
        "editor",
        "viewer",
        "taken-away",
        owner.email,
    )
    assert (row["api_keys"], row["keys_revoked"]) == (f"gth_{key.pk} (read)", f"gth_{key.pk}")
    assert (rows[str(viewer.pk)]["email"], rows[str(viewer.pk)]["decision"]) == ("", "deleted")
    assert answer["Content-Disposition"] == f'attachment; filename="access-review-{review.pk}.csv"'
    assert {item["user_id"] for item in as_json["items"]} == rows.keys()
    exports = AuditEvent.objects.filter(action="review:access:export")
    assert [event.actor_id for event in exports] == [owner.pk] * 2


def test_the_overview_counts_reviews_that_are_due(
    owner: User, browser_of: Any, start: StartReview
) -> None:
    now = timezone.now()
    start(owner, due_at=now + timedelta(days=6))
    start(owner, due_at=now + timedelta(days=8))
    late = start(owner)
    AccessReview.objects.filter(pk=late.pk).update(due_at=now - timedelta(days=1))
    closed = start(owner, due_at=now + timedelta(days=1))
    AccessReview.objects.filter(pk=closed.pk).update(closed_at=now)
    browser = browser_of(owner)

    tasks = {task.sentence: task.url for task in browser.get("/admin/").context["tasks"]}

    url = tasks["2 access reviews are due within 7 days"]
    assert url == f"{REVIEWS}?state=due"
    assert browser.get(url).context["cl"].result_count == 2


def test_the_page_of_a_person_tells_when_and_by_whom_they_were_reviewed(
    owner: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    browser = browser_of(owner)
    page = f"/admin/accounts/user/{viewer.pk}/change/"
    assert "In no review yet." in browser.get(page).content.decode()
    review = start(owner)
    confirm(actor=owner, item=item_of(review, viewer), seen=seen_of(viewer), note="still here")

    text = browser.get(page).content.decode()

    assert "Last reviewed on" in text
    assert "still here" in text
    assert page_of_item(item_of(review, viewer)) in text


def test_a_review_and_an_account_that_do_not_exist(
    owner: User, viewer: User, browser_of: Any, start: StartReview
) -> None:
    first, second = start(owner), start(owner)
    item = item_of(second, viewer)
    browser = browser_of(owner)

    wrong = f"{REVIEWS}{first.pk}/accounts/{item.pk}/"
    assert browser.get(wrong).status_code == 404
    assert browser.post(wrong, {"decision": "confirm"}).status_code == 404
    assert browser.get(f"{REVIEWS}{item.pk}/change/").status_code == 404
    assert decide(browser, item, "boss").status_code == 404
    assert item_of(second, viewer).decision == "open"
