"""Who may do what to whom in the admin: every action, every rank, through the real forms."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import BrowserSession, User
from audit.models import AuditEvent
from moderation.services.bans import ban
from tests.admin.conftest import BrowserOf, MakeUser, bulk, edited, notices, page_of
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]


@dataclass(frozen=True)
class Case:
    """An act: how it is done, what it answers, what it changes, and its audit action."""

    do: Callable[[Client, User], HttpResponse]
    audit: str
    effect: Callable[[User | None], bool]
    status: int = 302


def _press(name: str) -> Callable[[Client, User], HttpResponse]:
    return lambda client, user: client.post(page_of(user, name))


def _type(**changes: Any) -> Callable[[Client, User], HttpResponse]:
    return lambda client, user: client.post(page_of(user), edited(user, **changes))


def _tick(action: str, **more: Any) -> Callable[[Client, User], HttpResponse]:
    return lambda client, user: bulk(client, action, [user], **more)


def _no_sessions(user: User | None) -> bool:
    return not BrowserSession.objects.filter(user=user).exists()


def _is_reset(user: User | None) -> bool:
    return not User.objects.get(pk=user.pk).has_usable_password()


ACTIONS = {
    "name": Case(_type(name="Changed"), "account:user:edit", lambda p: p.name == "Changed"),
    "email": Case(
        _type(email="new@example.com"), "account:user:edit", lambda p: p.email == "new@example.com"
    ),
    "role": Case(_type(role="viewer"), "account:role:change", lambda p: p.role == "viewer"),
    "reset": Case(_press("reset"), "account:password:reset-start", _is_reset, 200),
    "disable": Case(_press("disable"), "account:user:disable", lambda p: not p.is_active),
    "end sessions": Case(_press("end-sessions"), "account:session:end-all", _no_sessions),
    "delete": Case(
        lambda client, user: client.post(page_of(user, "delete"), {"post": "yes"}),
        "account:user:delete",
        lambda p: p is None,
    ),
    "enable": Case(_press("enable"), "account:user:enable", lambda p: p.is_active),
    "verify": Case(_press("verify"), "account:email:vouch", lambda p: p.is_verified),
}
BULK_ACTIONS = {
    "role": Case(
        _tick("change_role_of_people", role="viewer", confirmed="yes"),
        "account:role:change",
        lambda p: p.role == "viewer",
    ),
    "reset": Case(
        _tick("start_reset_of_people", confirmed="yes"),
        "account:password:reset-start",
        _is_reset,
        200,
    ),
    "disable": Case(
        _tick("disable_people", confirmed="yes"), "account:user:disable", lambda p: not p.is_active
    ),
    "end sessions": Case(
        _tick("end_sessions_people", confirmed="yes"), "account:session:end-all", _no_sessions
    ),
    "delete": Case(
        _tick("delete_selected", confirmed="yes"), "account:user:delete", lambda p: p is None
    ),
    "enable": Case(
        _tick("enable_people", confirmed="yes"), "account:user:enable", lambda p: p.is_active
    ),
    "verify": Case(
        _tick("verify_people", confirmed="yes"), "account:email:vouch", lambda p: p.is_verified
    ),
}
REACHES = {
    "stranger": set(),
    "viewer": set(),
    "editor": set(),
    "admin": {"none", "viewer", "editor"},
    "owner": {"none", "viewer", "editor", "admin", "owner"},
}


@pytest.fixture
def target(make_user: MakeUser, browser_of: BrowserOf, request: pytest.FixtureRequest) -> User:
    """A person of the asked role, signed in somewhere, in the state that the act changes."""
    role, act = request.param
    user = make_user(role, "target@example.com", name="Target")
    browser_of(user)
    fields = {"enable": {"is_active": False}, "verify": {"email_verified_at": None}}
    User.objects.filter(pk=user.pk).update(**fields.get(act, {"name": user.name}))
    user.refresh_from_db()
    return user


def _row(user: User) -> tuple[dict[str, Any] | None, int]:
    sessions = BrowserSession.objects.filter(user_id=user.pk).count()
    return User.objects.filter(pk=user.pk).values().first(), sessions


def _audits(administrator: User, user: User) -> list[str]:
    rows = AuditEvent.objects.filter(target_id=user.pk, actor_id=administrator.pk).order_by("seq")
    return list(rows.values_list("action", flat=True))


def _expect_done(case: Case, answer: HttpResponse, administrator: User, user: User) -> None:
    assert answer.status_code == case.status
    now = User.objects.filter(pk=user.pk).first()
    assert case.effect(now if now or case.effect is not _no_sessions else user)
    assert _audits(administrator, user) == [case.audit]


def _cross(acts: dict[str, Case]) -> list[Any]:
    return [
        pytest.param((role, act), act, id=f"{act}-{role}")
        for act in acts
        for role in ("none", "editor", "admin", "owner")
    ]


@pytest.mark.parametrize("admin_role", REACHES)
@pytest.mark.parametrize(("target", "act"), _cross(ACTIONS), indirect=["target"])
def test_each_action_on_a_user_obeys_the_rank_rule(
    as_role: AsRole, target: User, act: str, admin_role: str
) -> None:
    case, (browser, administrator) = ACTIONS[act], as_role(admin_role)
    before = _row(target)

    answer = case.do(browser, target)

    if target.role in REACHES[admin_role]:
        _expect_done(case, answer, administrator, target)
        return
    assert answer.status_code == (302 if admin_role == "stranger" else 403)
    if admin_role == "stranger":
        assert answer["Location"].startswith("/sign-in?next=/admin/accounts/user/")
    assert _row(target) == before
    assert _audits(administrator, target) == []


@pytest.mark.parametrize("admin_role", REACHES)
@pytest.mark.parametrize(("target", "act"), _cross(BULK_ACTIONS), indirect=["target"])
def test_each_bulk_action_obeys_the_rank_rule(
    as_role: AsRole, target: User, act: str, admin_role: str
) -> None:
    case, (browser, administrator) = BULK_ACTIONS[act], as_role(admin_role)
    before = _row(target)

    answer = case.do(browser, target)

    if target.role in REACHES[admin_role]:
        _expect_done(case, answer, administrator, target)
        return
    is_below = admin_role in ("viewer", "editor")
    assert answer.status_code == (403 if is_below else 302)
    if admin_role == "admin":
        assert notices(browser) == ["0 done, 1 skipped: rank"]
    assert _row(target) == before
    assert _audits(administrator, target) == []


@pytest.mark.parametrize(
    ("admin_role", "status"),
    [("stranger", 302), ("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)],
)
@pytest.mark.parametrize("page", ["", "add/", "{key}/change/", "{key}/delete/"])
def test_only_administrators_see_the_pages(
    as_role: AsRole, make_user: MakeUser, admin_role: str, status: int, page: str
) -> None:
    target = make_user("viewer", "target@example.com")
    browser, _administrator = as_role(admin_role)

    answer = browser.get("/admin/accounts/user/" + page.format(key=target.pk))

    assert answer.status_code == status


@pytest.mark.parametrize("target_role", ["admin", "owner"])
def test_an_admin_sees_equals_and_owners_without_buttons(
    as_role: AsRole, make_user: MakeUser, target_role: str
) -> None:
    target = make_user(target_role, "target@example.com")
    browser, _admin = as_role("admin")

    page = browser.get(page_of(target))

    assert page.status_code == 200
    content = page.content.decode()
    assert "target@example.com" in content
    assert "person-acts" not in content
    assert 'name="_save"' not in content
    assert page_of(target, "delete") not in content


LAST_OWNER_ACTIONS = {
    "demote": _type(role="admin"),
    "disable": _press("disable"),
    "delete": ACTIONS["delete"].do,
    "bulk demote": _tick("change_role_of_people", role="admin", confirmed="yes"),
    "bulk disable": _tick("disable_people", confirmed="yes"),
    "bulk delete": _tick("delete_selected", confirmed="yes"),
}


@pytest.mark.parametrize("act", LAST_OWNER_ACTIONS)
def test_the_last_owner_stays(
    owner: User, make_user: MakeUser, browser_of: BrowserOf, act: str
) -> None:
    make_user("owner", "disabled@example.com", is_active=False)
    make_user("owner", "unclaimed@example.com", setup_completed=False)
    browser = browser_of(owner)
    before = _row(owner)
    events = AuditEvent.objects.count()

    answer = LAST_OWNER_ACTIONS[act](browser, owner)

    assert answer.status_code == (200 if act == "demote" else 302)
    assert _row(owner) == before
    assert AuditEvent.objects.count() == events
    if act == "demote":
        assert "This is the last active owner." in answer.content.decode()
    elif act.startswith("bulk"):
        assert notices(browser) == ["0 done, 1 skipped: last owner"]
    else:
        assert "This is the last active owner." in notices(browser)[0]


@pytest.mark.parametrize("act", LAST_OWNER_ACTIONS)
def test_an_owner_who_deletes_their_account_is_signed_out(
    owner: User, make_user: MakeUser, browser_of: BrowserOf, act: str
) -> None:
    make_user("owner", "second@example.com")
    browser = browser_of(owner)

    answer = LAST_OWNER_ACTIONS[act](browser, owner)

    assert answer.status_code == 302
    assert not User.objects.active_owners().filter(pk=owner.pk).exists()
    again = browser.get("/admin/accounts/user/")
    assert (again.status_code, again["Location"]) == (302, "/sign-in?next=/admin/accounts/user/")


# What a bulk action leaves out is told before


def _lists(page: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """Who is affected, and who is left out and why, as the confirmation page says."""
    left_out = [(user.email, reason) for user, reason in page.context["left_out"]]
    return [user.email for user in page.context["people"]], left_out


def test_a_bulk_deletion_tells_who_is_left_out_and_posts_only_the_others(
    as_role: AsRole, make_user: MakeUser
) -> None:
    client, operator = as_role("admin")
    viewer, owner = make_user("viewer"), make_user("owner")

    page = bulk(client, "delete_selected", [viewer, owner, operator])

    affected, left_out = _lists(page)
    assert affected == [viewer.email, operator.email]
    assert left_out == [(owner.email, "Their role is not below yours.")]
    content = page.content.decode()
    assert f'name="_selected_action" value="{owner.pk}"' not in content
    assert "this is your own account" in content
    assert User.objects.filter(pk__in=[viewer.pk, owner.pk]).count() == 2


def test_a_bulk_deletion_of_all_owners_leaves_out_the_last(
    as_role: AsRole, make_user: MakeUser
) -> None:
    client, operator = as_role("owner")
    other = make_user("owner", "other@example.com")

    affected, left_out = _lists(bulk(client, "delete_selected", [operator, other]))

    assert affected == [other.email]
    assert left_out == [(operator.email, "The last active owner must stay.")]


def test_a_reset_of_factors_leaves_out_who_has_none(as_role: AsRole, make_user: MakeUser) -> None:
    client, operator = as_role("owner")
    with_app, without = make_user("viewer"), make_user("editor")
    set_up_app(with_app)
    set_up_app(operator)

    affected, left_out = _lists(
        bulk(client, "reset_factors_of_people", [with_app, without, operator])
    )

    assert affected == [with_app.email]
    assert left_out == [
        (without.email, "They have no second factor."),
        (operator.email, "Change your own factors on your account page."),
    ]


RANK, LAST = "Their role is not below yours.", "The last active owner must stay."
# Action -> whom it leaves out of each role's account, and why; the others are affected. The viewer
# is disabled, the editor is not verified.
LEFT_OUT = {
    "disable_people": {
        "owner": RANK, "admin": RANK, "viewer": "They are disabled already.",
    },
    "enable_people": {"owner": RANK, "admin": RANK, "editor": "They are not disabled."},
    "end_sessions_people": {"owner": RANK},
    "verify_people": {"owner": RANK, "admin": RANK, "viewer": "Their address is verified."},
    "start_reset_of_people": {
        "owner": RANK,
        "admin": RANK,
        "viewer": "This account is disabled. Ask an administrator.",
    },
    "lift_bans_of_people": {
        "owner": RANK, "admin": RANK, "viewer": "They are not banned.",
    },
}  # fmt: skip


@pytest.mark.parametrize("action", LEFT_OUT)
def test_a_bulk_action_tells_whom_it_leaves_out_and_does_nothing_yet(
    as_role: AsRole, make_user: MakeUser, action: str
) -> None:
    client, operator = as_role("admin")
    people = {role: make_user(role) for role in ("viewer", "editor", "owner")} | {"admin": operator}
    User.objects.filter(pk=people["viewer"].pk).update(is_active=False)
    User.objects.filter(pk=people["editor"].pk).update(email_verified_at=None)
    if action == "lift_bans_of_people":
        ban(actor=people["owner"], user=people["editor"], duration=timedelta(hours=1), reason="-")
    before = [_row(user) for user in people.values()], AuditEvent.objects.count()

    page = bulk(client, action, list(people.values()))

    assert page.status_code == 200
    affected, left_out = _lists(page)
    reasons = {people[role].email: reason for role, reason in LEFT_OUT[action].items()}
    assert dict(left_out) == reasons
    assert sorted(affected) == sorted({user.email for user in people.values()} - set(reasons))
    content = page.content.decode()
    for user in people.values():
        field = f'name="_selected_action" value="{user.pk}"'
        assert (field in content) == (user.email in affected)
    assert ([_row(user) for user in people.values()], AuditEvent.objects.count()) == before


def test_disabling_all_owners_leaves_out_the_last(as_role: AsRole, make_user: MakeUser) -> None:
    client, operator = as_role("owner")
    other = make_user("owner", "other@example.com")

    page = bulk(client, "disable_people", [operator, other])

    assert _lists(page) == ([other.email], [(operator.email, LAST)])


def test_a_password_reset_leaves_out_the_own_account(as_role: AsRole, make_user: MakeUser) -> None:
    client, operator = as_role("owner")
    viewer = make_user("viewer")

    page = bulk(client, "start_reset_of_people", [operator, viewer])

    own = "Change your own password on your account page."
    assert _lists(page) == ([viewer.email], [(operator.email, own)])
    assert "Remove the password of this person?" in page.content.decode()


def test_an_action_that_would_affect_nobody_says_why(as_role: AsRole, make_user: MakeUser) -> None:
    client, _operator = as_role("admin")

    answer = bulk(client, "change_role_of_people", [make_user("owner")])

    assert answer.status_code == 302
    assert notices(client) == ["Nothing was changed. Their role is not below yours."]
