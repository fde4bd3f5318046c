"""Starting and closing reviews: whom they list, who may, and what is recorded."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.services.decisions import confirm
from access_reviews.services.reviews import close_review
from accounts.actors import SYSTEM
from accounts.models import Membership, User
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.groups.sources import set_groups_of_source
from accounts.services.users import delete_user
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from tests.access_reviews.conftest import StartReview, item_of, seen_of
from tests.api.keys import made
from tests.conftest import MakeUser, text_of
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db


def listed(review: AccessReview) -> set[Any]:
    return set(review.items.values_list("user_id", flat=True))


def test_a_review_lists_accounts_that_can_sign_in_with_their_access(
    owner: User, editor: User, make_user: MakeUser, start: StartReview
) -> None:
    soon = timezone.now() + timedelta(days=3)
    guest = make_user("viewer", "guest@example.com", role_until=soon, role_after="none")
    make_user("viewer", "off@example.com", is_active=False)
    make_user("viewer", "over@example.com", expires_at=timezone.now() - timedelta(hours=1))
    key = made(editor, "script", scopes=["read", "write"]).key

    review = start(owner, scope="all")

    assert listed(review) == {owner.pk, editor.pk, guest.pk}
    access = item_of(review, editor).first_access
    assert (access.role, [(one.id, one.scopes) for one in access.keys]) == (
        "editor",
        [(key.pk, ("read", "write"))],
    )
    access = item_of(review, guest).first_access
    assert (access.role, access.role_until, access.role_after) == (
        "viewer",
        soon.isoformat(),
        "none",
    )
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.target_id) == (
        "review:access:start",
        owner.pk,
        review.pk,
    )
    assert event.detail["items"] == 3


def test_each_scope_lists_whom_it_names(
    owner: User, admin: User, editor: User, viewer: User, make_user: MakeUser, start: StartReview
) -> None:
    long_ago = timezone.now() - timedelta(days=91)
    idle = make_user("editor", "idle@example.com", last_login=long_ago)
    never = make_user("editor", "never@example.com", created_at=long_ago)
    ended = make_user(
        "admin", "ended@example.com", role_until=long_ago, role_after="viewer", last_login=None
    )
    everybody = {each.pk for each in (owner, admin, editor, viewer, idle, never, ended)}
    set_up_app(viewer)
    made(admin, "a")
    expired = made(viewer, "b").key
    type(expired).objects.filter(pk=expired.pk).update(expires_at=long_ago)

    assert listed(start(owner, scope="role", min_role="admin")) == {owner.pk, admin.pk}
    assert listed(start(owner, scope="no-second-factor")) == everybody - {viewer.pk}
    assert listed(start(owner, scope="unused")) == {idle.pk, never.pk}
    assert listed(start(owner, scope="api-keys")) == {admin.pk}
    assert listed(start(owner, scope="all")) == everybody


def test_the_members_of_a_group_are_reviewed(
    owner: User, editor: User, viewer: User, start: StartReview, browser_of: Any
) -> None:
    lab = create_group(actor=SYSTEM, name="lab", label="The lab")
    add_member(actor=SYSTEM, user=editor, group=lab)
    set_groups_of_source(user=owner, source="directory", names={"lab"})
    Membership.objects.create(user=viewer, group=lab, until=timezone.now())

    review = start(owner, scope="group", group="Lab")

    assert listed(review) == {owner.pk, editor.pk}
    assert AuditEvent.objects.latest("seq").detail["group"] == "lab"
    lab_id = lab.pk
    lab.delete()
    page = browser_of(owner).get(f"/admin/access_reviews/accessreview/{review.pk}/change/")
    assert "Members of the group lab" in page.content.decode()
    shown = browser_of(owner).get(f"/api/v1/access-reviews/{review.pk}").json()
    assert (shown["scope"], shown["group"], shown["group_id"]) == ("group", "lab", str(lab_id))
    for name in ("", "lab"):
        with pytest.raises(RecordInvalid) as error:
            start(owner, scope="group", group=name)
        assert [*error.value.errors] == ["group"]


def test_all_errors_are_told_at_once_and_nothing_is_written(
    owner: User, editor: User, start: StartReview
) -> None:
    with pytest.raises(RecordInvalid) as caught:
        start(
            owner,
            editor,
            name=" ",
            due_at=timezone.now() - timedelta(minutes=1),
            scope="role",
            min_role="",
        )

    assert sorted(caught.value.errors) == ["due_at", "min_role", "name", "reviewers"]
    assert not AccessReview.objects.exists()


def test_a_scope_without_anyone_and_a_due_date_too_near_are_refused(
    owner: User, start: StartReview
) -> None:
    with pytest.raises(RecordInvalid) as empty:
        start(owner, scope="api-keys")
    with pytest.raises(RecordInvalid) as near:
        start(owner, disable_undecided=True, due_at=timezone.now() + timedelta(hours=23))

    assert [*empty.value.errors] == ["scope"]
    assert [*near.value.errors] == ["due_at"]
    assert not AccessReview.objects.exists()
    assert not ReviewItem.objects.exists()


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_only_administrators_start_and_close_reviews(
    owner: User, make_user: MakeUser, start: StartReview, role: str
) -> None:
    user = make_user(role, "somebody@example.com")
    review = start(owner)

    with pytest.raises(Forbidden):
        start(user, owner)
    with pytest.raises(Forbidden):
        close_review(actor=user, review=review, reason="done")

    assert AccessReview.objects.get().is_open


def test_an_administrator_who_is_no_reviewer_neither_closes_nor_decides(
    owner: User, admin: User, viewer: User, start: StartReview
) -> None:
    review = start(owner)

    with pytest.raises(Forbidden):
        close_review(actor=admin, review=review, reason="done")
    with pytest.raises(Forbidden):
        confirm(actor=admin, item=item_of(review, viewer), seen=seen_of(viewer))


def test_a_review_is_closed_by_hand_with_a_reason_and_the_number_undecided(
    owner: User, admin: User, viewer: User, start: StartReview
) -> None:
    review = start(owner)
    confirm(actor=owner, item=item_of(review, viewer), seen=seen_of(viewer))
    for wrong in ("", "  ", "x" * 201):
        with pytest.raises(RecordInvalid):
            close_review(actor=owner, review=review, reason=wrong)

    closed = close_review(actor=owner, review=review, reason="enough")

    assert (closed.closed_by, closed.close_reason, closed.left_undecided) == (
        owner.pk,
        "enough",
        2,
    )
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.detail["undecided"]) == ("review:access:close", 2)
    with pytest.raises(RecordInvalid):
        close_review(actor=owner, review=review, reason="again")
    with pytest.raises(RecordInvalid):
        confirm(actor=owner, item=item_of(review, admin), seen=seen_of(admin))


def test_a_review_closes_by_itself_when_all_is_decided(
    owner: User, viewer: User, start: StartReview
) -> None:
    review = start(owner)
    confirm(actor=owner, item=item_of(review, viewer), seen=seen_of(viewer))
    assert AccessReview.objects.get().is_open

    confirm(actor=owner, item=item_of(review, owner), seen=seen_of(owner))

    review.refresh_from_db()
    assert (review.is_open, review.closed_by, review.left_undecided) == (False, None, 0)


def test_reviewers_but_not_who_started_it_get_a_mail(
    owner: User, admin: User, start: StartReview, mails: Any
) -> None:
    start(owner, owner, admin, name="Admins")

    (mail,) = mails()
    assert (mail.kind, mail.recipient) == ("access-review", admin.email)
    assert mail.subject == "Please review access: Admins"
    assert "2 accounts have no decision yet" in text_of(mail)


def test_a_deleted_account_leaves_its_id_and_no_note(
    owner: User, admin: User, viewer: User, start: StartReview
) -> None:
    first, second = start(owner), start(owner)
    confirm(actor=owner, item=item_of(first, viewer), seen=seen_of(viewer), note="Vera stays")

    delete_user(actor=owner, user=viewer)

    decided, open_one = (item_of(review, viewer) for review in (first, second))
    assert (decided.decision, decided.note) == ("confirmed", "")
    assert (open_one.decision, open_one.note) == ("deleted", "")
    assert open_one.decided_by is None
    texts = [str(row) for row in ReviewItem.objects.values()]
    assert not any(word in text for text in texts for word in ("Vera", viewer.email))


def test_the_command_line_starts_a_review_but_needs_reviewers(
    owner: User, start: StartReview
) -> None:
    review = start(SYSTEM, owner)

    assert review.started_by is None
