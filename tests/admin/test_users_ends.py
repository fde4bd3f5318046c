"""Ends of accounts and roles in the admin: the forms, the bulk actions, the list."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.services.users import change_role, set_expiry
from audit.models import AuditEvent
from tests.admin.conftest import LIST, BrowserOf, MakeUser, bulk, edited, page_of

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def typed(end: datetime) -> str:
    """As the browser sends it, in the zone of the server."""
    return timezone.localtime(end).strftime("%Y-%m-%dT%H:%M")


def minute(end: datetime) -> datetime:
    return end.replace(second=0, microsecond=0)


@pytest.fixture
def soon() -> datetime:
    return timezone.now() + 3 * DAY


def test_a_person_gets_a_role_and_an_account_until_a_time(
    browser_of: BrowserOf, owner: User, viewer: User, soon: datetime
) -> None:
    fields = {"role": "admin", "role_until": typed(soon), "role_after": "editor",
              "expires_at": typed(soon + DAY)}  # fmt: skip

    answer = browser_of(owner).post(page_of(viewer), edited(viewer, **fields))

    assert answer.status_code == 302
    user = User.objects.get(pk=viewer.pk)
    assert (user.role, user.role_after) == ("admin", "editor")
    assert (user.role_until, user.expires_at) == (minute(soon), minute(soon + DAY))
    actions = AuditEvent.objects.filter(target_id=viewer.pk).order_by("-seq")[:2]
    assert [event.action for event in actions] == ["account:expiry:set", "account:role:limit"]


def test_a_form_that_leaves_the_ends_alone_changes_none(
    browser_of: BrowserOf, owner: User, viewer: User, soon: datetime
) -> None:
    change_role(actor=SYSTEM, user=viewer, role="editor", until=soon, then="viewer")
    set_expiry(actor=SYSTEM, user=viewer, expires_at=soon)
    client = browser_of(owner)
    page = client.get(page_of(viewer)).content.decode()
    shown = dict(re.findall(r'<input type="datetime-local" name="(\w+)" value="([^"]+)"', page))

    fields = {"name": "New", "role": "editor", "role_after": "viewer"} | shown
    client.post(page_of(viewer), edited(viewer, **fields))

    assert sorted(shown) == ["expires_at", "role_until"]
    user = User.objects.get(pk=viewer.pk)
    assert (user.name, user.role_until, user.expires_at) == ("New", soon, soon)
    assert AuditEvent.objects.latest("seq").action == "account:user:edit"


def test_emptied_fields_remove_the_ends(
    browser_of: BrowserOf, owner: User, viewer: User, soon: datetime
) -> None:
    change_role(actor=SYSTEM, user=viewer, role="editor", until=soon, then="viewer")
    set_expiry(actor=SYSTEM, user=viewer, expires_at=soon)

    fields = {"role": "editor", "role_until": "", "role_after": "", "expires_at": ""}
    browser_of(owner).post(page_of(viewer), edited(viewer, **fields))

    user = User.objects.get(pk=viewer.pk)
    assert (user.role, user.role_until, user.role_after, user.expires_at) == (
        "editor", None, "", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": "editor", "role_until": "2999-01-01T12:00", "role_after": ""}, "role_after"),
        ({"role": "editor", "role_until": "", "role_after": "viewer"}, "role_until"),
        ({"expires_at": "2020-01-01T12:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
    ],
)
def test_faults_stand_beside_their_field(
    browser_of: BrowserOf, owner: User, viewer: User, fields: dict[str, str], field: str
) -> None:
    answer = browser_of(owner).post(page_of(viewer), edited(viewer, **fields))

    assert answer.status_code == 200
    assert [*answer.context["adminform"].form.errors] == [field]
    user = User.objects.get(pk=viewer.pk)
    assert (user.role, user.expires_at) == ("viewer", None)


def test_a_new_person_has_the_chosen_ends(
    browser_of: BrowserOf, owner: User, soon: datetime
) -> None:
    fields = {"email": "new@example.com", "name": "", "username": "", "role": "editor",
              "role_until": typed(soon), "role_after": "none",
              "expires_at": typed(soon)}  # fmt: skip

    browser_of(owner).post(f"{LIST}add/", fields)

    user = User.objects.get(email="new@example.com")
    assert (user.role_until, user.role_after, user.expires_at) == (
        minute(soon), "none", minute(soon),
    )  # fmt: skip


def test_many_get_a_role_until_a_time(
    browser_of: BrowserOf, owner: User, make_user: MakeUser, soon: datetime
) -> None:
    people = [make_user("viewer"), make_user("viewer")]
    client = browser_of(owner)
    fields = {"confirmed": "yes", "role": "editor", "role_until": typed(soon)}

    refused = bulk(client, "change_role_of_people", people, **fields, role_after="editor")
    done = bulk(client, "change_role_of_people", people, **fields, role_after="viewer")

    assert [*refused.context_data["form"].errors] == ["role_after"]
    assert done.status_code == 302
    users = User.objects.filter(pk__in=[person.pk for person in people])
    assert {(user.role, user.role_until, user.role_after) for user in users} == {
        ("editor", minute(soon), "viewer")
    }


def test_many_get_an_end_and_whom_one_may_not_manage_is_skipped(
    browser_of: BrowserOf, admin: User, owner: User, viewer: User, soon: datetime
) -> None:
    client = browser_of(admin)

    asked = bulk(client, "set_end_of_people", [owner, viewer])
    bulk(client, "set_end_of_people", [owner, viewer], confirmed="yes", expires_at=typed(soon))

    assert "viewer@example.com" in asked.rendered_content
    assert User.objects.get(pk=viewer.pk).expires_at == minute(soon)
    assert User.objects.get(pk=owner.pk).expires_at is None


@pytest.mark.parametrize(
    ("chosen", "found"),
    [("soon", {"a", "b"}), ("month", {"a", "b", "c"}), ("some-time", {"a", "b", "c", "d"})],
)
def test_the_list_finds_who_ends_soon(
    browser_of: BrowserOf, owner: User, make_user: MakeUser, chosen: str, found: set[str]
) -> None:
    now = timezone.now()
    ends = {"a": {"expires_at": now + DAY}, "c": {"expires_at": now + 20 * DAY},
            "b": {"role_until": now + 6 * DAY, "role_after": "none"},
            "d": {"expires_at": now + 90 * DAY}, "over": {"expires_at": now - DAY}}  # fmt: skip
    for name, fields in ends.items():
        make_user("viewer", f"{name}@example.com", **fields)

    page = browser_of(owner).get(f"{LIST}?ends={chosen}")

    assert {user.email.partition("@")[0] for user in page.context["cl"].result_list} == found


def test_the_list_shows_ends(
    browser_of: BrowserOf, owner: User, viewer: User, make_user: MakeUser, soon: datetime
) -> None:
    change_role(actor=SYSTEM, user=viewer, role="editor", until=soon, then="viewer")
    make_user("viewer", "over@example.com", expires_at=timezone.now() - DAY)

    page = browser_of(owner).get(LIST).content.decode()

    assert "then Viewer" in page
    assert '<span class="state state-ended">Access ended</span>' in page


def test_an_invitation_is_made_with_a_role_until_a_time(
    browser_of: BrowserOf, owner: User, soon: datetime
) -> None:
    fields = {"email": "new@example.com", "name": "", "role": "admin", "days": "7",
              "role_until": typed(soon), "role_after": "viewer"}  # fmt: skip

    browser_of(owner).post("/admin/accounts/invitation/add/", fields)

    row = Invitation.objects.get()
    assert (row.role, row.role_until, row.role_after) == ("admin", minute(soon), "viewer")


def test_an_account_that_ended_keeps_its_end_when_its_name_changes(
    browser_of: BrowserOf, owner: User, make_user: Callable[..., User]
) -> None:
    past = timezone.now() - DAY
    user = make_user("viewer", "over@example.com", expires_at=past, is_active=False)

    answer = browser_of(owner).post(page_of(user), edited(user, name="New", expires_at=typed(past)))

    assert answer.status_code == 302
    assert User.objects.get(pk=user.pk).name == "New"
