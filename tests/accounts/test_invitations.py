"""Invitations: issued, looked at, accepted once, withdrawn; by service, page and command."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.errors import Forbidden, RecordInvalid, TokenExpired, TokenInvalid
from accounts.models import AuditEvent, BrowserSession, Invitation, OutboxMail, User
from accounts.outbox import deliver_due
from accounts.roles import Role
from accounts.services import invitations, users
from accounts.services.invitations import IssuedInvitation, accept_invitation, invite
from accounts.services.privacy import export_own_data
from config import worker
from tests.accounts.race_processes import Race, run_race
from tests.conftest import PASSWORD, path_in, text_of
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Browse = Callable[[User], Client]
EMAIL = "new@example.com"
PHRASE = "seven quiet rivers under glass"
# Whom each may invite: rows are actors, the words are roles given.
GIVES = {
    "owner": ["owner", "admin", "editor", "viewer", "none"],
    "admin": ["editor", "viewer", "none"],
    "editor": [],
    "viewer": [],
    "none": [],
}


def token_of(issued: IssuedInvitation) -> str:
    return issued.url.rpartition("/")[2]


def path_of(issued: IssuedInvitation) -> str:
    return issued.url.removeprefix("http://localhost:8000")


def events() -> list[tuple[str, str]]:
    """(action, result) of the whole audit log."""
    return list(AuditEvent.objects.order_by("seq").values_list("action", "result"))


def states() -> list[str]:
    now = timezone.now()
    return [row.state(now) for row in Invitation.objects.order_by("pk")]


def typed(**changes: str) -> dict[str, str]:
    return {"name": "Nina New", "password": PHRASE} | changes


@pytest.fixture
def invited(owner: User) -> IssuedInvitation:
    return invite(actor=owner, email=EMAIL, role="editor")


# Inviting


def test_an_invitation_is_a_row_a_mail_and_an_audit_row(
    owner: User, mails: Callable[[], list[OutboxMail]]
) -> None:
    issued = invite(actor=owner, email=" New@Example.com", role="editor", name=" Nina  New ")

    row = Invitation.objects.get()
    assert issued.invitation == row
    assert (row.email, row.name, row.role) == (EMAIL, "Nina New", "editor")
    assert (row.invited_by, row.by_system, row.user) == (owner, False, None)
    assert row.expires_at - row.created_at == timedelta(days=7)
    assert issued.expires_at == row.expires_at
    (mail,) = mails()
    assert (mail.kind, mail.recipient, mail.user) == ("invitation", EMAIL, None)
    assert path_in(mail) == path_of(issued)
    assert text_of(mail).startswith("Olga Owner invites you.")
    assert mail.expires_at == row.expires_at
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id, event.target_id, event.detail) == (
        "account:invitation:issue",
        owner.pk,
        None,
        {"invitation": str(row.pk), "role": "editor"},
    )


@pytest.mark.parametrize("actor_role", [role.value for role in Role])
@pytest.mark.parametrize("role", [role.value for role in Role])
def test_only_roles_below_the_own_are_given_and_owners_give_any(
    make_user: MakeUser, actor_role: str, role: str
) -> None:
    actor = make_user(actor_role)

    if role in GIVES[actor_role]:
        assert invite(actor=actor, email=EMAIL, role=role).invitation.role == role
        return
    with pytest.raises(Forbidden):
        invite(actor=actor, email=EMAIL, role=role)
    assert (Invitation.objects.count(), OutboxMail.objects.count(), events()) == (0, 0, [])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "owner@example.com"}, "email"),
        ({"email": "OWNER@example.com"}, "email"),
        ({"role": "emperor"}, "role"),
        ({"role": ""}, "role"),
        ({"lifetime": timedelta(seconds=59)}, "lifetime"),
        ({"lifetime": timedelta(days=30, seconds=1)}, "lifetime"),
        ({"lifetime": timedelta(days=-1)}, "lifetime"),
    ],
)
def test_what_is_wrong_is_refused_by_field_and_changes_nothing(
    owner: User, wrong: dict[str, Any], field: str
) -> None:
    invite(actor=owner, email=EMAIL)
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        invite(**({"actor": owner, "email": EMAIL} | wrong))

    assert list(caught.value.errors) == [field]
    assert (states(), events(), OutboxMail.objects.count()) == (["live"], before, 1)


@pytest.mark.parametrize("lifetime", [timedelta(minutes=1), timedelta(days=30)])
def test_the_shortest_and_the_longest_lifetime_count(owner: User, lifetime: timedelta) -> None:
    row = invite(actor=owner, email=EMAIL, lifetime=lifetime).invitation

    assert row.expires_at - row.created_at == lifetime


def test_who_may_not_invite_does_not_learn_who_has_an_account(viewer: User, owner: User) -> None:
    with pytest.raises(Forbidden):
        invite(actor=viewer, email=owner.email)


def test_a_newer_invitation_ends_the_older_one_of_that_address_alone(owner: User) -> None:
    first = invite(actor=owner, email=EMAIL)
    other = invite(actor=owner, email="other@example.com")

    second = invite(actor=owner, email=EMAIL, role="editor")

    assert states() == ["replaced", "live", "live"]
    with pytest.raises(TokenInvalid):
        invitations.find_invitation(token_of(first))
    assert invitations.find_invitation(token_of(second)).role == "editor"
    assert invitations.find_invitation(token_of(other)).email == "other@example.com"


def test_nobody_replaces_an_invitation_to_a_role_above_his_reach(owner: User, admin: User) -> None:
    issued = invite(actor=owner, email=EMAIL, role="admin")

    with pytest.raises(Forbidden):
        invite(actor=admin, email=EMAIL, role="viewer")

    assert states() == ["live"]
    assert invitations.find_invitation(token_of(issued)).role == "admin"
    assert events() == [("account:invitation:issue", "success")]


def test_it_says_whether_a_mail_service_takes_it(owner: User, settings: Settings) -> None:
    settings.MAIL_TRANSPORT = "tests.accounts.test_invitations.some_transport"
    assert invite(actor=owner, email=EMAIL).mailed is True

    settings.MAIL_TRANSPORT = "tests.accounts.test_invitations.no_transport"

    assert invite(actor=owner, email=EMAIL).mailed is False
    deliver_due()
    assert {mail.status for mail in OutboxMail.objects.all()} == {"waiting"}


def some_transport() -> object:
    """What a server with a mail service has; nothing is sent in these tests."""
    return object()


def no_transport() -> None:
    """What a server without a mail service has."""


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_mail_is_whole_in_each_language(
    owner: User, settings: Settings, mails: Callable[[], list[OutboxMail]], language: str
) -> None:
    settings.LANGUAGE_CODE = language

    issued = invite(actor=owner, email=EMAIL)

    (mail,) = mails()
    assert text_of(mail).count(issued.url) == 1
    assert "{{" not in text_of(mail)
    assert 10 < len(mail.subject) < 60


def test_the_secret_is_nowhere_but_in_the_answer(
    owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    issued = invite(actor=owner, email=EMAIL)
    token = token_of(issued)
    accept_invitation(token, name="", password=PHRASE)

    rows = [str(row) for row in Invitation.objects.values()]
    audited = [json.dumps(event.detail) for event in AuditEvent.objects.all()]
    sealed = [str(mail) for mail in OutboxMail.objects.values()]
    assert [text for text in (*rows, *sealed, caplog.text, repr(issued)) if token in text] == []
    assert [text for text in audited if token in text or EMAIL in text or PHRASE in text] == []


# Seeing and withdrawing


def test_the_open_ones_are_the_live_ones_within_reach_newest_first(
    owner: User, admin: User, viewer: User, at_time: Callable[[timedelta], Any]
) -> None:
    hour = timedelta(hours=1)
    invite(actor=owner, email="late@example.com", lifetime=hour)
    high = invite(actor=owner, email="high@example.com", role="admin").invitation
    low = invite(actor=admin, email="low@example.com").invitation
    used = invite(actor=admin, email="used@example.com")
    accept_invitation(token_of(used), name="", password=PHRASE)
    gone = invite(actor=admin, email="gone@example.com").invitation
    invitations.withdraw(actor=admin, invitation=gone)
    at_time(2 * hour)

    assert list(invitations.open_invitations(owner)) == [low, high]
    assert list(invitations.open_invitations(SYSTEM)) == [low, high]
    assert list(invitations.open_invitations(admin)) == [low]
    assert list(invitations.open_invitations(viewer)) == []


def test_a_withdrawn_invitation_makes_no_account(admin: User) -> None:
    issued = invite(actor=admin, email=EMAIL)

    invitations.withdraw(actor=admin, invitation=issued.invitation)

    with pytest.raises(TokenInvalid):
        accept_invitation(token_of(issued), name="", password=PHRASE)
    assert not User.objects.filter(email=EMAIL).exists()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.detail) == (
        "account:invitation:withdraw",
        admin.pk,
        {"invitation": str(issued.invitation.pk), "role": "viewer"},
    )
    with pytest.raises(RecordInvalid):
        invitations.withdraw(actor=admin, invitation=issued.invitation)
    assert AuditEvent.objects.latest("seq") == event


@pytest.mark.parametrize("actor_role", [role.value for role in Role])
@pytest.mark.parametrize("role", [role.value for role in Role])
def test_who_may_give_a_role_may_withdraw_its_invitation(
    make_user: MakeUser, actor_role: str, role: str
) -> None:
    row = invite(actor=SYSTEM, email=EMAIL, role=role).invitation
    actor = make_user(actor_role)

    if role in GIVES[actor_role]:
        invitations.withdraw(actor=actor, invitation=row)
        assert states() == ["replaced"]
        return
    with pytest.raises(Forbidden):
        invitations.withdraw(actor=actor, invitation=row)
    assert (states(), events()) == (["live"], [("account:invitation:issue", "success")])


# Accepting


def test_accepting_makes_the_account_and_uses_the_invitation_up(
    owner: User, invited: IssuedInvitation
) -> None:
    user = accept_invitation(
        token_of(invited), name="  Nina  New ", username="Nina", password=PHRASE
    )

    user.refresh_from_db()
    assert (user.email, user.name, user.username, user.role) == (
        EMAIL,
        "Nina New",
        "nina",
        "editor",
    )
    assert (user.is_verified, user.is_active, user.check_password(PHRASE)) == (True, True, True)
    row = Invitation.objects.get()
    assert (row.user, states()) == (user, ["used"])
    made, accepted = AuditEvent.objects.order_by("seq")[1:]
    assert (made.action, made.actor_id, made.target_id, made.detail) == (
        "account:user:create",
        owner.pk,
        user.pk,
        {"role": "editor", "source": "invitation"},
    )
    assert (accepted.action, accepted.actor_id, accepted.target_id, accepted.detail) == (
        "account:invitation:accept",
        user.pk,
        user.pk,
        {"invitation": str(row.pk), "role": "editor"},
    )


def test_an_invitation_works_with_registration_closed(
    settings: Settings, invited: IssuedInvitation
) -> None:
    settings.ALLOW_REGISTRATION = False
    settings.ALLOWED_EMAILS = ("elsewhere.example",)

    assert accept_invitation(token_of(invited), name="", password=PHRASE).email == EMAIL


def test_an_invitation_works_once(invited: IssuedInvitation) -> None:
    accept_invitation(token_of(invited), name="", password=PHRASE)
    before = events()

    with pytest.raises(invitations.InvitationUsed):
        accept_invitation(token_of(invited), name="Second", password=PHRASE)

    assert (User.objects.filter(email=EMAIL).get().name, events()) == ("", before)


def test_an_invitation_ends(invited: IssuedInvitation, at_time: Callable[[timedelta], Any]) -> None:
    at_time(timedelta(days=7))

    with pytest.raises(TokenExpired):
        accept_invitation(token_of(invited), name="", password=PHRASE)

    assert (states(), User.objects.filter(email=EMAIL).exists()) == (["expired"], False)


@pytest.mark.parametrize("token", ["", "nothing", "x" * 5000, "ü\u2028", "a/b"])
def test_an_unknown_token_is_invalid(invited: IssuedInvitation, token: str) -> None:
    with pytest.raises(invitations.InvitationInvalid):
        invitations.find_invitation(token)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": ""}, "password"),
        ({"password": None}, "password"),
        ({"username": "a b"}, "username"),
        ({"username": "vera"}, "username"),
    ],
)
def test_a_refused_try_leaves_the_invitation_usable(
    viewer: User, invited: IssuedInvitation, wrong: dict[str, Any], field: str
) -> None:
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        accept_invitation(token_of(invited), **({"name": "", "password": PHRASE} | wrong))

    assert list(caught.value.errors) == [field]
    assert (states(), events()) == (["live"], before)
    assert accept_invitation(token_of(invited), name="", password=PHRASE).email == EMAIL


def test_an_address_that_has_an_account_by_now_is_refused(
    make_user: MakeUser, invited: IssuedInvitation
) -> None:
    person = make_user("viewer", EMAIL)
    before = events()

    with pytest.raises(RecordInvalid) as caught:
        accept_invitation(token_of(invited), name="", password=PHRASE)

    assert caught.value.errors == {"email": ["Another account has this address."]}
    assert (states(), events()) == (["live"], before)
    person.refresh_from_db()
    assert (person.role, person.check_password(PASSWORD)) == ("viewer", True)


def _demote(owner: User, inviter: User) -> None:
    users.change_role(actor=owner, user=inviter, role="editor")


def _disable(owner: User, inviter: User) -> None:
    users.disable_user(actor=owner, user=inviter)


def _delete(owner: User, inviter: User) -> None:
    users.delete_user(actor=owner, user=inviter)


@pytest.mark.parametrize("weaken", [_demote, _disable, _delete])
def test_an_invitation_is_worth_what_its_inviter_is_worth_now(
    owner: User, admin: User, weaken: Callable[[User, User], None]
) -> None:
    issued = invite(actor=admin, email=EMAIL)
    weaken(owner, admin)

    with pytest.raises(invitations.InvitationInvalid):
        accept_invitation(token_of(issued), name="", password=PHRASE)

    assert (states(), User.objects.filter(email=EMAIL).exists()) == (["live"], False)


def test_an_owner_who_became_admin_vouches_for_less(owner: User, make_user: MakeUser) -> None:
    other = make_user("owner", "other@example.com")
    high = invite(actor=other, email=EMAIL, role="admin")
    low = invite(actor=other, email="low@example.com", role="editor")
    users.change_role(actor=owner, user=other, role="admin")

    with pytest.raises(invitations.InvitationInvalid):
        accept_invitation(token_of(high), name="", password=PHRASE)

    assert accept_invitation(token_of(low), name="", password=PHRASE).role == "editor"


@pytest.mark.race
def test_of_many_acceptances_at_once_one_makes_the_account(
    any_database: str, tmp_path: Path
) -> None:
    race = Race(prepare="one_invitation", act="accept", count="count_accepted")

    found = run_race(any_database, str(tmp_path), race, 20)

    assert found == [(1, 1, 1, True)] * 20


# The page


def test_the_page_says_who_invites_whom_to_what(stranger: Client, owner: User) -> None:
    issued = invite(actor=owner, email=EMAIL, role="editor", name="Nina New")

    answer = stranger.get(path_of(issued))

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Olga Owner invites you to join with the role <strong>Editor</strong>." in text
    assert f"<strong>{EMAIL}</strong>" in text
    assert owner.email not in text
    assert read(answer.content).input("name")["value"] == "Nina New"
    assert (answer["Cache-Control"], answer["Referrer-Policy"]) == ("no-store", "strict-origin")


def test_a_nameless_inviter_is_masked(stranger: Client, make_user: MakeUser) -> None:
    issued = invite(actor=make_user("admin", "secret.boss@example.com"), email=EMAIL)

    text = stranger.get(path_of(issued)).content.decode()

    assert "s•••@example.com invites you" in text
    assert "secret.boss" not in text


def test_the_command_line_invites_without_a_name(stranger: Client) -> None:
    issued = invite(actor=SYSTEM, email=EMAIL)

    assert b"You are invited to join with the role" in stranger.get(path_of(issued)).content


def test_looking_uses_nothing_up(stranger: Client, invited: IssuedInvitation) -> None:
    before = events()

    for method in (stranger.get, stranger.head, stranger.get):
        assert method(path_of(invited)).status_code == 200

    assert stranger.options(path_of(invited)).status_code == 405
    assert (states(), events(), BrowserSession.objects.count()) == (["live"], before, 0)


def test_posting_makes_the_account_and_signs_in(
    stranger: Client, invited: IssuedInvitation
) -> None:
    answer = stranger.post(path_of(invited), typed())

    assert (answer.status_code, answer["Location"]) == (303, "/account/")
    user = User.objects.get(email=EMAIL)
    assert (user.name, user.role, states()) == ("Nina New", "editor", ["used"])
    assert stranger.get("/account/").context["user"] == user
    start = AuditEvent.objects.get(action="account:session:start")
    assert (start.target_id, start.detail["methods"]) == (user.pk, ["invitation"])


@pytest.mark.parametrize("wrong", [{"password": "short"}, {"password": ""}, {"name": "x" * 151}])
def test_a_refused_form_says_why_and_the_next_try_counts(
    stranger: Client, invited: IssuedInvitation, wrong: dict[str, str]
) -> None:
    answer = stranger.post(path_of(invited), typed(**wrong))

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == list(wrong)
    assert states() == ["live"]
    assert stranger.post(path_of(invited), typed()).status_code == 303


def test_the_form_gives_neither_role_nor_address(
    stranger: Client, invited: IssuedInvitation
) -> None:
    more = {"role": "owner", "email": "evil@example.com", "username": "root", "is_superuser": "1"}

    assert stranger.post(path_of(invited), typed(**more)).status_code == 303

    user = User.objects.get(email=EMAIL)
    assert (user.role, user.username) == ("editor", None)
    assert not User.objects.filter(email="evil@example.com").exists()


def test_posting_needs_the_page_of_the_same_browser(invited: IssuedInvitation) -> None:
    browser = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)

    assert browser.post(path_of(invited), typed()).status_code == 403

    assert states() == ["live"]


def test_an_account_made_meanwhile_is_told_on_the_page(
    stranger: Client, make_user: MakeUser, invited: IssuedInvitation
) -> None:
    make_user("viewer", EMAIL)

    answer = stranger.post(path_of(invited), typed())

    assert answer.status_code == 400
    assert answer.context["form"].non_field_errors() == ["Another account has this address."]
    assert states() == ["live"]


def _used(issued: IssuedInvitation, owner: User, move: Callable[[timedelta], Any]) -> None:
    accept_invitation(token_of(issued), name="", password=PHRASE)


def _withdrawn(issued: IssuedInvitation, owner: User, move: Callable[[timedelta], Any]) -> None:
    invitations.withdraw(actor=owner, invitation=issued.invitation)


def _expired(issued: IssuedInvitation, owner: User, move: Callable[[timedelta], Any]) -> None:
    move(timedelta(days=7))


@pytest.mark.parametrize(
    ("end", "notice", "text"),
    [
        (_used, "invitation-used", b"This invitation has been used already."),
        (_withdrawn, "invitation-unknown", b"This invitation does not work any more."),
        (_expired, "invitation-expired", b"This invitation has expired."),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_is_over_leads_to_the_sign_in_page(
    stranger: Client,
    owner: User,
    invited: IssuedInvitation,
    at_time: Callable[[timedelta], Any],
    end: Callable[..., None],
    notice: str,
    text: bytes,
    method: str,
) -> None:
    end(invited, owner, at_time)
    before = User.objects.count()

    answer: HttpResponse = getattr(stranger, method)(path_of(invited), typed())

    assert (answer.status_code, answer["Location"]) == (303, f"/sign-in?notice={notice}")
    assert text in stranger.get(answer["Location"]).content
    assert User.objects.count() == before


def test_a_signed_in_person_is_told_and_changes_places(
    viewer: User, browser_of: Browse, invited: IssuedInvitation
) -> None:
    browser = browser_of(viewer)
    assert b"You are signed in as viewer@example.com now." in browser.get(path_of(invited)).content

    assert browser.post(path_of(invited), typed()).status_code == 303

    assert browser.get("/account/").context["user"].email == EMAIL
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_without_passwords_none_is_asked(
    stranger: Client, invited: IssuedInvitation, settings: Settings
) -> None:
    settings.ALLOW_EMAIL_LOGIN = False
    assert "password" not in stranger.get(path_of(invited)).context["form"].fields

    assert stranger.post(path_of(invited), {"name": ""}).status_code == 303

    assert not User.objects.get(email=EMAIL).has_usable_password()


# The command


def run(*args: str) -> tuple[str, str]:
    """What `inviteuser` writes on standard output and on standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("inviteuser", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_inviteuser_prints_the_link_alone_on_standard_output(
    settings: Settings, stranger: Client, role: str
) -> None:
    settings.ALLOW_REGISTRATION = False

    out, err = run("New@Example.com", "--role", role, "--hours", "48", "--name", "Nina")

    row = Invitation.objects.get()
    assert (row.email, row.role, row.name, row.by_system) == (EMAIL, role, "Nina", True)
    assert row.expires_at - row.created_at == timedelta(hours=48)
    assert err.startswith(f"For {EMAIL} ({role}); works once, until 2")
    assert err.endswith("; not mailed: hand it over.\n")
    assert stranger.get(out.strip().removeprefix("http://localhost:8000")).status_code == 200
    event = AuditEvent.objects.get()
    assert (event.action, event.channel, event.actor_id) == (
        "account:invitation:issue",
        "command",
        None,
    )


def test_inviteuser_says_when_it_is_mailed(settings: Settings) -> None:
    settings.MAIL_TRANSPORT = "tests.accounts.test_invitations.some_transport"

    assert run(EMAIL)[1].endswith("; mailed, too.\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope"], "email: Enter one email address"),
        (["viewer@example.com"], "Another account has this address"),
        ([EMAIL, "--hours", "0"], "lifetime: Choose between 1 minute and 30 days"),
        ([EMAIL, "--hours", "721"], "lifetime: Choose between 1 minute and 30 days"),
        ([EMAIL, "--hours", "9999999999999"], "lifetime: Choose between 1 and 720 hours"),
        ([EMAIL, "--role", "emperor"], "invalid choice: 'emperor'"),
    ],
)
def test_inviteuser_says_what_is_wrong(viewer: User, args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*args)

    assert (Invitation.objects.count(), events()) == (0, [])


# Own data, clearing away


def test_the_invitation_goes_with_the_account_it_made(
    owner: User, invited: IssuedInvitation
) -> None:
    user = accept_invitation(token_of(invited), name="", password=PHRASE)
    (exported,) = export_own_data(user)["invitations"]
    assert (exported["role"], sorted(exported)) == ("editor", ["accepted_at", "invited_at", "role"])

    users.delete_user(actor=owner, user=user)

    assert not Invitation.objects.exists()
    with pytest.raises(invitations.InvitationInvalid):
        invitations.find_invitation(token_of(invited))


def test_the_worker_clears_old_invitations_away(
    owner: User, at_time: Callable[[timedelta], Any]
) -> None:
    invite(actor=owner, email="old@example.com", lifetime=timedelta(days=1))
    kept = invite(actor=owner, email=EMAIL, lifetime=timedelta(days=7)).invitation
    at_time(timedelta(days=32))

    worker.purge()

    assert list(Invitation.objects.all()) == [kept]
