"""Decisions: each has its effect at once, or none; ranks, the last owner, what has changed."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.services.decisions import (
    AccessChanged,
    Removal,
    confirm,
    confirm_many,
    plan_confirmation,
    postpone,
    take_away,
)
from accounts.models import BrowserSession, User
from accounts.services.users import change_role, disable_user
from api.models import ApiKey
from audit.models import AuditEvent
from core.errors import AccessDenied, Forbidden, LastOwner, RecordInvalid
from tests.access_reviews.conftest import StartReview, item_of, seen_of
from tests.api.keys import made
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    """The newest events, without those of the start."""
    rows = AuditEvent.objects.exclude(action__startswith="account:session")
    names = list(rows.order_by("seq").values_list("action", flat=True))
    return names[names.index("review:access:start") + 1 :]


def unchanged(item: ReviewItem) -> bool:
    """Whether an item is as it was made."""
    found = ReviewItem.objects.get(pk=item.pk)
    return (found.decision, found.decided_by, found.effect) == ("open", None, {})


def test_a_confirmation_keeps_who_when_and_why(
    owner: User, editor: User, start: StartReview
) -> None:
    item = item_of(start(owner), editor)
    before = timezone.now()

    confirm(actor=owner, item=item, seen=seen_of(editor), note="still  in the team")

    item.refresh_from_db()
    assert (item.decision, item.decided_by, item.note) == (
        "confirmed",
        owner.pk,
        "still in the team",
    )
    assert item.decided_at is not None
    assert before <= item.decided_at <= timezone.now()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.target_id) == (
        "review:item:confirm",
        owner.pk,
        editor.pk,
    )


def test_a_role_is_lowered_at_once_and_signs_out(
    owner: User, editor: User, start: StartReview, browser_of: Any
) -> None:
    browser_of(editor)
    item = item_of(start(owner), editor)

    take_away(actor=owner, item=item, seen=seen_of(editor), removal=Removal(role="viewer"))

    editor.refresh_from_db()
    item.refresh_from_db()
    assert editor.role == "viewer"
    assert not BrowserSession.objects.filter(user=editor).exists()
    assert item.decision == "taken-away"
    assert item.effect == {"role_before": "editor", "role_after": "viewer", "keys": []}
    assert actions() == ["account:role:change", "review:item:take-away"]


def test_an_account_is_disabled_and_keys_are_revoked(
    owner: User, editor: User, start: StartReview
) -> None:
    first, second = made(editor, "a").key, made(editor, "b").key
    item = item_of(start(owner), editor)

    removal = Removal(disable=True, keys=[first.pk])
    take_away(actor=owner, item=item, seen=seen_of(editor), removal=removal)

    editor.refresh_from_db()
    assert not editor.is_active
    revoked = set(ApiKey.objects.exclude(revoked_at=None).values_list("pk", flat=True))
    assert revoked == {first.pk}
    assert second.pk not in revoked
    assert actions() == ["api:key:revoke", "account:user:disable", "review:item:take-away"]


@pytest.mark.parametrize(
    ("removal", "field"),
    [
        (Removal(), "removal"),
        (Removal(role="editor"), "role"),
        (Removal(role="admin"), "role"),
        (Removal(role="boss"), "role"),
        (Removal(role="viewer", disable=True), "role"),
        (Removal(keys=["abcdefghijkl"]), "keys"),
    ],
)
def test_a_removal_that_takes_nothing_away_or_too_much_is_refused(
    owner: User, editor: User, start: StartReview, removal: Removal, field: str
) -> None:
    item = item_of(start(owner), editor)

    with pytest.raises(RecordInvalid) as caught:
        take_away(actor=owner, item=item, seen=seen_of(editor), removal=removal)

    assert [*caught.value.errors] == [field]
    assert unchanged(item)
    assert actions() == []


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_an_admin_neither_confirms_nor_takes_away_from_equal_or_higher_ranks(
    owner: User, admin: User, make_user: MakeUser, start: StartReview, role: str
) -> None:
    other = make_user(role, "other@example.com")
    key = made(other, "a").key
    item = item_of(start(admin), other)

    with pytest.raises(Forbidden):
        confirm(actor=admin, item=item, seen=seen_of(other))
    for removal in (Removal(role="viewer"), Removal(disable=True), Removal(keys=[key.pk])):
        with pytest.raises(Forbidden):
            take_away(actor=admin, item=item, seen=seen_of(other), removal=removal)
    with pytest.raises(Forbidden):
        postpone(actor=admin, item=item)

    other.refresh_from_db()
    assert (other.role, other.is_active) == (role, True)
    assert ApiKey.objects.get(pk=key.pk).revoked_at is None
    assert unchanged(item)


def test_no_one_reviews_themselves_where_another_owner_can(
    owner: User, make_user: MakeUser, start: StartReview
) -> None:
    item = item_of(start(owner), owner)
    confirm(actor=owner, item=item, seen=seen_of(owner))
    other = make_user("owner", "second@example.com")
    item = item_of(start(owner), owner)

    with pytest.raises(Forbidden):
        confirm(actor=owner, item=item, seen=seen_of(owner))
    with pytest.raises(Forbidden):
        postpone(actor=owner, item=item)
    assert unchanged(item)

    # Another owner decides, though they are not among the reviewers.
    confirm(actor=other, item=item, seen=seen_of(owner))
    item.refresh_from_db()
    assert item.decided_by == other.pk


@pytest.mark.parametrize("removal", [Removal(role="admin"), Removal(disable=True)])
def test_the_last_owner_keeps_role_and_account(
    owner: User, start: StartReview, removal: Removal
) -> None:
    item = item_of(start(owner), owner)

    with pytest.raises(LastOwner):
        take_away(actor=owner, item=item, seen=seen_of(owner), removal=removal)

    owner.refresh_from_db()
    assert (owner.role, owner.is_active) == ("owner", True)
    assert unchanged(item)
    assert actions() == []


def test_access_that_grew_since_it_was_shown_is_not_confirmed(
    owner: User, editor: User, start: StartReview
) -> None:
    item = item_of(start(owner), editor)
    seen = seen_of(editor)
    made(editor, "new")

    with pytest.raises(AccessChanged):
        confirm(actor=owner, item=item, seen=seen)
    with pytest.raises(AccessChanged):
        take_away(actor=owner, item=item, seen=seen, removal=Removal(disable=True))
    assert unchanged(item)

    seen = seen_of(editor)
    change_role(actor=owner, user=editor, role="admin")
    with pytest.raises(AccessChanged):
        confirm(actor=owner, item=item, seen=seen)

    confirm(actor=owner, item=item, seen=seen_of(editor))
    item.refresh_from_db()
    assert (item.first_access.role, item.decided_access.role) == ("editor", "admin")
    assert len(item.decided_access.keys) == 1


def test_every_part_of_the_access_counts_as_a_change(
    owner: User, editor: User, start: StartReview
) -> None:
    start(owner)
    seen = [seen_of(editor)]
    later = timezone.now() + timedelta(days=30)
    for fields in (
        {"expires_at": later},
        {"role_until": later, "role_after": "viewer"},
        {"is_active": False},
    ):
        User.objects.filter(pk=editor.pk).update(**fields)
        seen.append(seen_of(editor))

    assert len(set(seen)) == len(seen)


def test_an_item_is_decided_once_but_later_is_no_decision(
    owner: User, editor: User, viewer: User, start: StartReview
) -> None:
    item = item_of(start(owner), editor)
    postpone(actor=owner, item=item, note="ask Olga")
    item.refresh_from_db()
    assert (item.decision, item.note, item.is_undecided) == ("later", "ask Olga", True)
    assert actions() == []
    confirm(actor=owner, item=item, seen=seen_of(editor))

    for again in (
        lambda: confirm(actor=owner, item=item, seen=seen_of(editor)),
        lambda: postpone(actor=owner, item=item),
        lambda: take_away(
            actor=owner, item=item, seen=seen_of(editor), removal=Removal(disable=True)
        ),
    ):
        with pytest.raises(RecordInvalid):
            again()

    editor.refresh_from_db()
    assert editor.is_active
    assert actions() == ["review:item:confirm"]


def test_a_reviewer_who_lost_their_role_meanwhile_changes_nothing(
    owner: User, admin: User, editor: User, start: StartReview
) -> None:
    item = item_of(start(owner, admin), editor)
    stale = User.objects.get(pk=admin.pk)
    disable_user(actor=owner, user=admin)

    with pytest.raises(AccessDenied):
        take_away(actor=stale, item=item, seen=seen_of(editor), removal=Removal(disable=True))

    editor.refresh_from_db()
    assert editor.is_active
    assert unchanged(item)


def test_the_preview_names_whom_a_bulk_confirmation_leaves_out_and_why(
    owner: User, admin: User, editor: User, viewer: User, start: StartReview
) -> None:
    review = start(owner, admin)
    items = [item_of(review, user) for user in (owner, admin, editor, viewer)]
    seen = {item.pk: seen_of(user) for item, user in zip(items, (owner, admin, editor, viewer),
                                                          strict=True)}  # fmt: skip
    made(viewer, "new")

    found = plan_confirmation(actor=admin, review=review, items=items)

    reasons = {candidate.user.email: candidate.reason for candidate in found if candidate.user}
    assert reasons[editor.email] == ""
    assert reasons[owner.email] == "You may only manage people whose role is below your own."
    assert reasons[admin.email] == "You may only manage people whose role is below your own."
    assert reasons[viewer.email].startswith("The access has changed.")

    done, refused = confirm_many(actor=admin, seen=[(item, seen[item.pk]) for item in items])

    assert (done, len(refused)) == (1, 3)
    decided = ReviewItem.objects.filter(decision="confirmed")
    assert [item.user_id for item in decided] == [editor.pk]
    assert AccessReview.objects.get().is_open
