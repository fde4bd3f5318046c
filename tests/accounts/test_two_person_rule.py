"""The two-person rule: each act on an owner waits for a second one, whatever way it comes."""

import ast
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from inspect import signature
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from access_reviews.models import ReviewItem
from access_reviews.services.decisions import Removal, take_away
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.actors import SYSTEM
from accounts.models import ApprovalRequest, Invitation, User
from accounts.models.audit_events import sentence_of
from accounts.roles import Role
from accounts.services import (
    account_changes,
    invitations,
    offboard,
    passwords,
    second_factors,
    users,
    verification,
)
from accounts.services.approvals import asking, requests
from accounts.services.approvals.rule import TwoPersonRequired, known_services
from accounts.services.bulk.imports import import_users
from accounts.services.bulk.invitations import invite_many
from accounts.services.bulk.planning import SECOND_OWNER, ImportOptions
from accounts.services.undo import find_event, undo
from accounts.services.users import Profile
from accounts.user_files.address_list import Recipient
from audit.models import AuditEvent
from audit.wordings import ACTS as WORDED_ACTS
from core.errors import Forbidden, GatehouseError, RecordInvalid
from federation.models import ExternalIdentity
from federation.services import identities
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mail.models import OutboxMail
from mfa.models import Authenticator
from moderation.models import Ban
from moderation.services import bans
from moderation.services.violations import record_violation
from operations.doctor import _users as examine_users
from tests.access_reviews.conftest import item_of, seen_of
from tests.architecture.sources import modules
from tests.conftest import text_of

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Act = Callable[[User, User], object]
SOON = timezone.now().replace(microsecond=0) + timedelta(days=2)


@pytest.fixture(autouse=True)
def _on(settings: Any) -> None:
    settings.TWO_PERSON_RULE = True


@pytest.fixture
def second(make_user: MakeUser) -> User:
    return make_user("owner", "second@example.com", name="Sven Second")


@pytest.fixture
def target(make_user: MakeUser) -> User:
    """A third owner, whom everything is about."""
    return make_user("owner", "target@example.com", name="Tara Target")


def _ban(user: User) -> Ban:
    return bans.ban(actor=SYSTEM, user=user, duration=None, reason="test")


def _identity(user: User) -> ExternalIdentity:
    return ExternalIdentity.objects.create(
        user=user, provider="google", issuer="https://a.example", subject="1"
    )


def _undo_of_a_promotion(actor: User, user: User) -> object:
    users.change_role(actor=SYSTEM, user=user, role=Role.VIEWER)
    AuditEvent.objects.update(channel="command")
    event = find_event(AuditEvent.objects.latest("seq").seq)
    assert event is not None
    return lambda: undo(actor=actor, event=event)


def _review(actor: User, user: User) -> object:
    wanted = ReviewRequest(name="Q", due_at=SOON + timedelta(days=9), reviewers=[actor.pk])
    item = item_of(start_review(actor=actor, wanted=wanted), user)
    return lambda: take_away(
        actor=actor, item=item, seen=seen_of(user), removal=Removal(role="viewer"), note="no"
    )


def _factor(actor: User, user: User) -> object:
    Authenticator.objects.create(user=user, kind="totp", name="App", sealed_secret="x")
    return lambda: second_factors.reset_factors(actor=actor, user=user)


def _lift(run: Callable[..., object]) -> Act:
    def act(actor: User, user: User) -> object:
        row = _ban(user)
        return lambda: run(actor, row)

    return act


def _unverified(actor: User, user: User) -> object:
    User.objects.filter(pk=user.pk).update(email_verified_at=None)
    user.refresh_from_db()
    return lambda: verification.mark_verified(actor=actor, user=user)


def _disabled(actor: User, user: User) -> object:
    users.disable_user(actor=SYSTEM, user=user)
    return lambda: users.enable_user(actor=actor, user=user)


def _simple(run: Act) -> Act:
    return lambda actor, user: lambda: run(actor, user)


# Name -> (kind of the request, prepares and returns the act, whether it gives the target power).
ACTS: dict[str, tuple[str, Act, bool]] = {
    "demote": (
        "role",
        _simple(lambda a, u: users.change_role(actor=a, user=u, role="admin", reason="x")),
        False,
    ),
    "time-box": (
        "role",
        _simple(
            lambda a, u: users.change_role(actor=a, user=u, role="owner", until=SOON, then="none")
        ),
        False,
    ),
    "promote": (
        "role",
        lambda a, u: (
            User.objects.filter(pk=u.pk).update(role="admin"),
            lambda: users.change_role(actor=a, user=u, role="owner"),
        )[1],
        True,
    ),
    "create": (
        "create",
        _simple(lambda a, _u: users.create_user(actor=a, email="n@example.com", role="owner")),
        True,
    ),
    "invite": (
        "invite",
        _simple(lambda a, _u: invitations.invite(actor=a, email="n@example.com", role="owner")),
        True,
    ),
    "address": (
        "edit",
        _simple(
            lambda a, u: users.edit_profile(
                actor=a, user=User.objects.get(pk=u.pk), profile=Profile(email="o@example.com")
            )
        ),
        False,
    ),
    "several": (
        "change",
        _simple(
            lambda a, u: account_changes.change_account(
                actor=a, user=u, changes={"name": "T", "role": "viewer", "expires_at": SOON}
            )
        ),
        False,
    ),
    "end": (
        "expiry",
        _simple(lambda a, u: users.set_expiry(actor=a, user=u, expires_at=SOON)),
        False,
    ),
    "role-lock": (
        "role-lock",
        _simple(lambda a, u: users.set_role_locked(actor=a, user=u, locked=True)),
        False,
    ),
    "disable": ("disable", _simple(lambda a, u: users.disable_user(actor=a, user=u)), False),
    "enable": ("enable", _disabled, True),
    "delete": ("delete", _simple(lambda a, u: users.delete_user(actor=a, user=u)), False),
    "reset": (
        "reset-password",
        _simple(lambda a, u: passwords.begin_reset(actor=a, user=u)),
        False,
    ),
    "factors": ("reset-factors", _factor, False),
    "offboard": (
        "offboard",
        _simple(lambda a, u: offboard.offboard(actor=a, user=u, reason="left")),
        False,
    ),
    "verify": ("verify", _unverified, False),
    "undo": ("undo", _undo_of_a_promotion, True),
    "ban": (
        "ban",
        _simple(lambda a, u: bans.ban(actor=a, user=u, duration=timedelta(hours=2), reason="spam")),
        False,
    ),
    "lift": ("lift-ban", _lift(lambda a, row: bans.lift(actor=a, ban=row)), True),
    "lift-all": ("lift-bans", _lift(lambda a, row: bans.lift_all(actor=a, user=row.user)), True),
    "link": (
        "link",
        _simple(
            lambda a, u: issue_link(
                u, actor=a, lifetime=timedelta(hours=1), source=LoginLink.Source.PANEL
            )
        ),
        False,
    ),
    "disconnect": (
        "disconnect",
        lambda a, u: (
            lambda row: lambda: identities.disconnect(user=u, identity_id=row.pk, actor=a)
        )(_identity(u)),
        False,
    ),
    "review": ("review-take-away", _review, False),
}


def hold(act: Any) -> ApprovalRequest:
    """The request that an act has become."""
    with pytest.raises(TwoPersonRequired) as held:
        act()
    return held.value.request


def rows() -> list[Any]:
    """What acts change."""
    tables: tuple[Any, ...] = (User, Invitation, Ban, Authenticator, LoginLink, ExternalIdentity)
    found = [list(table._base_manager.order_by("pk").values()) for table in tables]
    return [*found, list(ReviewItem.objects.order_by("pk").values())]


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))


@pytest.mark.parametrize("name", ACTS)
def test_an_act_on_an_owner_waits_and_is_then_carried_out_with_both_names(
    name: str, owner: User, second: User, target: User
) -> None:
    kind, prepare, raises_power = ACTS[name]
    act = prepare(owner, target)
    before, told = rows(), len(actions())

    request = hold(act)

    assert (request.kind, request.state, request.asked_by) == (kind, "open", owner)
    assert request.raises_power is raises_power
    assert request.target == (None if kind in ("create", "invite") else target)
    assert rows() == before
    assert actions()[told:] == ["account:approval:ask"]
    assert hold(act) == request  # a second click asks once
    shown = requests.shown(request)
    assert "%" not in shown.does + shown.consequence

    requests.confirm(actor=second, request_id=request.pk)

    assert rows() != before
    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("confirmed", second)
    # Offboarding is proved after the commit.
    events = list(AuditEvent.objects.order_by("seq"))[told + 1 :]
    done = [event for event in events if event.action != "account:offboarding:verify"]
    assert done[-1].action == "account:approval:confirm"
    assert done[-1].actor_id == second.pk
    both = [event for event in done[:-1] if event.detail.get("confirmed_by") == str(second.pk)]
    assert both
    assert {event.actor_id for event in both} == {owner.pk}
    assert {event.detail["approval"] for event in both} == {str(request.pk)}


def test_every_decorated_service_is_in_the_table_or_refuses() -> None:
    assert set(WORDED_ACTS) == {kind for kind, *_rest in ACTS.values()}
    assert set(known_services()) == {kind for kind, *_rest in ACTS.values()} | {"set-password"}


def test_no_service_takes_a_secret_that_a_request_would_keep() -> None:
    words = {"password", "new", "secret", "token", "proof", "code"}
    for kind, service in known_services().items():
        names = set(signature(service.run).parameters)
        assert names & words <= set(service.act.secrets), kind


# Services that compare ranks and need no second owner, and why.
FREE = {
    "accounts.services.groups.members.add_member": "groups narrow what a role opens",
    "accounts.services.sessions.end_session": "signs out; the person signs in again",
    "accounts.services.sessions.end_sessions": "signs out; the person signs in again",
    "magiclinks.services.withdraw_link": "takes back what was not used",
    "accounts.services.groups.members.remove_member": "groups narrow what a role opens",
    "accounts.services.groups.changes.require_deletable": "groups narrow what a role opens",
    "accounts.services.groups.changes.restore_group": "groups narrow what a role opens",
    "accounts.services.groups.sources.change_members_of_source": "groups narrow what a role opens",
    "accounts.services.service_accounts.give_to_team": "a service account is never owner",
    "accounts.services.service_accounts.hand_over": "a service account is never owner",
    "accounts.services.service_accounts.may_manage_keys": "a service account is never owner",
    "api.apikeys.services._require_key_manager": "keys for people: oneself, or the command line",
    "api.apikeys.services.revoke_key": "ends a credential; the person makes another one",
    "oidc_provider.services.access.end_app_access": "signs out; the person signs in again",
    "oidc_provider.services.access.end_all_app_access": "signs out; the person signs in again",
    "scim.services.users.require_manageable": "refuses owners",
    "mfa.trusted_browsers._lock": "asks for the second factor again",
    "access_reviews.services.decisions.require_may_decide": "a check; take_away() is held",
    "accounts.services.account_changes._refuse_unverifying": "a refusal",
    "accounts.services.ranks.require_rank_or_self": "the check itself",
    "accounts.services.ranks.require_rank_now": "the check itself",
    "moderation.services.bans.lift_all": "calls lift()",
    "moderation.services.bans._bannable": "a part of ban()",
}
RANKS = {"require_rank", "require_rank_now", "require_rank_or_self"}
NOT_ACTS = ("admin", "views", "undo", "commands", "models", "serializers", "roles")


def _ranked() -> Iterator[tuple[str, set[str]]]:
    """Each function of a service that compares ranks, with the names that it calls."""
    for module, file in modules():
        text = file.read_text()
        if "require_rank" not in text or set(module.split(".")) & set(NOT_ACTS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                called = {
                    each.func.id if isinstance(each.func, ast.Name) else each.func.attr
                    for each in ast.walk(node)
                    if isinstance(each, ast.Call)
                    and isinstance(each.func, ast.Name | ast.Attribute)
                }
                if called & RANKS:
                    yield f"{module}.{node.name}", called


def test_every_service_that_compares_ranks_asks_for_a_second_owner() -> None:
    missing = {name for name, called in _ranked() if "require_second_owner" not in called}
    assert missing == set(FREE)


def demote(actor: User, user: User, role: str = "admin") -> ApprovalRequest:
    """A request to give an owner another role."""
    return hold(lambda: users.change_role(actor=actor, user=user, role=role))


def refusal(run: Callable[[], object], kind: type[GatehouseError]) -> str:
    """The reason; nothing is written."""
    before, told = rows(), actions()
    with pytest.raises(kind) as error:
        run()
    assert (rows(), actions()) == (before, told)
    return error.value.sentences


def test_it_is_off_by_default(settings: Any, owner: User, target: User) -> None:
    settings.TWO_PERSON_RULE = False

    users.change_role(actor=owner, user=target, role="admin")

    target.refresh_from_db()
    assert target.role == "admin"
    assert not ApprovalRequest.objects.exists()


def test_the_other_owners_get_a_mail_in_their_language(
    owner: User, second: User, target: User, admin: User
) -> None:
    User.objects.filter(pk=second.pk).update(language="de")

    request = demote(owner, target)

    sent = {mail.recipient: mail for mail in OutboxMail.objects.filter(kind="approval-asked")}
    # Who would lose the role may confirm it as well; who asked and administrators are not told.
    assert set(sent) == {second.email, target.email}
    text = text_of(sent[target.email])
    assert "Olga Owner asks for this" in text
    assert "Change the role of Tara Target (target@example.com)" in text
    assert f"http://localhost:8000/admin/accounts/approvalrequest/{request.pk}/change/" in text


def test_who_asked_never_confirms_and_only_they_withdraw(
    owner: User, second: User, target: User, admin: User
) -> None:
    key = demote(owner, target).pk

    refusal(lambda: requests.confirm(actor=owner, request_id=key), Forbidden)
    refusal(lambda: requests.decline(actor=owner, request_id=key), Forbidden)
    refusal(lambda: requests.withdraw(actor=second, request_id=key), Forbidden)
    refusal(lambda: requests.confirm(actor=admin, request_id=key), Forbidden)

    requests.withdraw(actor=owner, request_id=key)

    assert ApprovalRequest.objects.get().state == "withdrawn"
    assert actions()[-1] == "account:approval:withdraw"
    told = refusal(lambda: requests.confirm(actor=second, request_id=key), requests.RequestClosed)
    assert told == "This request is closed: withdrawn."


def test_of_two_owners_the_other_may_confirm_that_they_lose_the_role(
    owner: User, second: User
) -> None:
    request = demote(owner, second)

    requests.confirm(actor=second, request_id=request.pk)

    second.refresh_from_db()
    assert second.role == "admin"
    assert AuditEvent.objects.get(action="account:approval:confirm").actor_id == second.pk


def test_an_owner_may_confirm_that_they_are_deleted(owner: User, second: User) -> None:
    request = hold(lambda: users.delete_user(actor=owner, user=second))

    requests.confirm(actor=second, request_id=request.pk)

    request.refresh_from_db()
    assert (request.state, request.target, request.decided_by) == ("confirmed", None, None)
    assert not User.objects.filter(pk=second.pk).exists()


def test_nobody_confirms_that_they_get_more_power(owner: User, second: User, target: User) -> None:
    User.objects.filter(pk=target.pk).update(expires_at=SOON)
    longer = hold(lambda: users.set_expiry(actor=owner, user=target, expires_at=None))
    several = hold(
        lambda: account_changes.change_account(
            actor=owner, user=target, changes={"email": "x@example.com", "expires_at": None}
        )
    )

    for request in (longer, several):
        assert request.raises_power
        confirm = partial(requests.confirm, actor=target, request_id=request.pk)
        told = refusal(confirm, Forbidden)
        assert told == "Another owner must decide about it, because it gives you more power."
        assert asking.deciders(request) == [second]

    # Nor does an owner with an end remove it on their own.
    own = hold(lambda: users.set_expiry(actor=target, user=target, expires_at=None))
    assert asking.deciders(own) == [owner, second]


def test_own_acts_without_more_power_and_those_of_a_single_owner_are_not_held(
    owner: User, second: User, make_user: MakeUser
) -> None:
    users.change_role(actor=second, user=second, role="admin")

    # Now there is one owner left, who may not lock themselves out.
    third = make_user("viewer", "third@example.com")
    users.change_role(actor=owner, user=third, role="owner")

    assert not ApprovalRequest.objects.exists()
    first, alone = AuditEvent.objects.filter(action="account:role:change").order_by("seq")
    assert "second_owner" not in first.detail
    assert alone.detail["second_owner"] == "none"


@pytest.mark.parametrize("change", ["asker-demoted", "asker-disabled", "target-changed", "gone"])
def test_what_has_changed_since_closes_the_request(
    change: str, owner: User, second: User, target: User
) -> None:
    request = demote(owner, target)
    match change:
        case "asker-demoted":
            users.change_role(actor=SYSTEM, user=owner, role="admin")
        case "asker-disabled":
            users.disable_user(actor=SYSTEM, user=owner)
        case "target-changed":
            users.edit_profile(actor=SYSTEM, user=target, profile=Profile(name="Other"))
        case "gone":
            users.delete_user(actor=SYSTEM, user=target)
    before = rows()

    with pytest.raises(requests.RequestClosed) as error:
        requests.confirm(actor=second, request_id=request.pk)

    request.refresh_from_db()
    assert request.state == "refused"
    assert request.reason == error.value.sentences
    assert request.reason.startswith(("Who asked", "The account"))
    assert rows() == before
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id) == ("account:approval:refuse", second.pk)
    assert "account:role:change" not in actions()[actions().index("account:approval:ask") + 2 :]


def test_the_service_checks_anew_and_its_refusal_closes_the_request(
    owner: User, second: User, target: User
) -> None:
    Authenticator.objects.create(user=target, kind="totp", name="App", sealed_secret="x")
    request = hold(lambda: second_factors.reset_factors(actor=owner, user=target))
    Authenticator.objects.all().delete()

    with pytest.raises(requests.RequestClosed, match="there is no second factor"):
        requests.confirm(actor=second, request_id=request.pk)

    request.refresh_from_db()
    assert request.state == "refused"


def test_a_request_expires_after_a_day_and_the_worker_writes_it_down(
    owner: User, second: User, target: User, at_time: Callable[[timedelta], object]
) -> None:
    request = demote(owner, target)
    at_time(timedelta(hours=24, seconds=1))

    told = refusal(
        lambda: requests.confirm(actor=second, request_id=request.pk), requests.RequestClosed
    )
    assert told == "This request is closed: expired."
    assert demote(owner, target) != request  # it may be asked for anew
    assert [requests.expire_requests(), requests.expire_requests()] == [1, 0]
    assert actions()[-1] == "account:approval:expire"
    assert requests.purge_requests(timezone.now()) == 0
    assert requests.purge_requests(timezone.now() + requests.KEEP) == 1


def test_declining_is_final_and_changes_nothing(owner: User, second: User, target: User) -> None:
    request, before = demote(owner, target), rows()

    requests.decline(actor=second, request_id=request.pk)

    assert rows() == before
    assert actions()[-1] == "account:approval:decline"
    with pytest.raises(requests.RequestClosed):
        requests.confirm(actor=second, request_id=request.pk)
    with pytest.raises(requests.RequestClosed):
        requests.withdraw(actor=owner, request_id=request.pk)


def test_an_invitation_is_confirmed_once_and_accepted_without_another_owner(
    owner: User, second: User, target: User
) -> None:
    request = hold(lambda: invitations.invite(actor=owner, email="n@example.com", role="owner"))
    issued = requests.confirm(actor=second, request_id=request.pk).result

    new = invitations.accept_invitation(
        issued.url.rpartition("/")[2], name="New", password="seven quiet rivers under glass"
    )

    assert new.role == "owner"
    assert ApprovalRequest.objects.count() == 1


def test_no_request_keeps_a_password(owner: User, second: User, target: User) -> None:
    new = "seven quiet rivers under glass"

    def create() -> object:
        return users.create_user(actor=owner, email="n@example.com", role="owner", password=new)

    def change() -> object:
        return passwords.set_password(actor=owner, user=target, new=new)

    for run in (create, change):
        with pytest.raises(RecordInvalid) as error:
            run()
        assert list(error.value.errors) == ["password"]
    assert not ApprovalRequest.objects.exists()


def test_reports_of_a_person_never_ban_an_owner(owner: User, second: User, editor: User) -> None:
    for user, is_banned in ((second, False), (editor, True)):
        found = record_violation(type="spam", user=user, score=1000, reported_by=owner)
        assert (found.ban is not None) is is_banned


def test_an_import_refuses_rows_that_need_a_second_owner(
    owner: User, second: User, target: User, editor: User
) -> None:
    text = f"email,role,is_active\n{target.email},admin,yes\n{editor.email},admin,yes\n"
    options = ImportOptions(update=True, skip_errors=True)

    result = import_users(io.BytesIO(text.encode()), actor=owner, options=options)

    assert result.counts == {"error": 1, "update": 1}
    assert [error.message for error in result.errors] == [SECOND_OWNER]
    target.refresh_from_db()
    editor.refresh_from_db()
    assert (target.role, editor.role) == ("owner", "admin")


def test_a_list_of_invitations_names_the_request_of_each_owner(owner: User, second: User) -> None:
    (line,) = invite_many([Recipient(1, "n@example.com", "n@example.com", "")],
                          actor=owner, role="owner")  # fmt: skip

    request = ApprovalRequest.objects.get()
    assert line.outcome == "refused"
    assert str(request.pk) in line.message


def test_the_doctor_warns_about_fewer_than_two_owners(owner: User, make_user: MakeUser) -> None:
    def warnings() -> list[str]:
        return [one.text for one in examine_users() if "TWO_PERSON_RULE" in one.text]

    assert len(warnings()) == 1
    make_user("owner", "second@example.com")
    assert warnings() == []


def test_the_sentences_name_both_owners(owner: User, second: User, target: User) -> None:
    request = demote(owner, target)
    requests.confirm(actor=second, request_id=request.pk)

    event = find_event(AuditEvent.objects.get(action="account:role:change").seq)

    assert event is not None
    assert sentence_of(event) == (
        "Olga Owner changed the role of Tara Target from owner to admin. Confirmed by Sven Second."
    )


def test_a_command_is_above_the_rule(owner: User, second: User) -> None:
    call_command("setrole", second.email, "admin", stdout=io.StringIO())

    second.refresh_from_db()
    assert second.role == "admin"
    event = AuditEvent.objects.get(action="account:role:change")
    assert (event.actor_id, event.channel) == (None, "command")
