"""Invitations from the outside: the page behind the link, and the command."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import BrowserSession, Invitation, User
from accounts.roles import Role
from accounts.services import invitations
from accounts.services.invitations import IssuedInvitation, accept_invitation, invite
from audit.models import AuditEvent
from tests.accounts.invitation_helpers import EMAIL, PHRASE, events, path_of, states, token_of
from tests.conftest import PASSWORD
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
Browse = Callable[[User], Client]


def typed(**changes: str) -> dict[str, str]:
    return {"name": "Nina New", "password": PHRASE} | changes


# The page


def test_the_page_names_inviter_invited_user_and_role(stranger: Client, owner: User) -> None:
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


def test_an_invitation_by_command_names_no_inviter(stranger: Client) -> None:
    issued = invite(actor=SYSTEM, email=EMAIL)

    assert b"You are invited to join with the role" in stranger.get(path_of(issued)).content


def test_opening_the_page_does_not_consume_the_invitation(
    stranger: Client, invited: IssuedInvitation
) -> None:
    before = events()

    for method in (stranger.get, stranger.head, stranger.get):
        assert method(path_of(invited)).status_code == 200

    assert stranger.options(path_of(invited)).status_code == 405
    assert (states(), events(), BrowserSession.objects.count()) == (["live"], before, 0)


def test_posting_creates_the_account_and_signs_in(
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
def test_a_rejected_form_says_why_and_can_be_sent_again(
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


def test_the_page_says_that_an_account_was_created_meanwhile(
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
def test_an_ended_invitation_leads_to_the_sign_in_page(
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


def test_a_signed_in_user_can_switch_to_the_invited_account(
    viewer: User, browser_of: Browse, invited: IssuedInvitation
) -> None:
    browser = browser_of(viewer)
    assert b"You are signed in as viewer@example.com now." in browser.get(path_of(invited)).content

    assert browser.post(path_of(invited), typed()).status_code == 303

    assert browser.get("/account/").context["user"].email == EMAIL
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_without_passwords_the_form_asks_for_none(
    stranger: Client, invited: IssuedInvitation, settings: Settings
) -> None:
    settings.ALLOW_EMAIL_LOGIN = False
    assert "password" not in stranger.get(path_of(invited)).context["form"].fields

    assert stranger.post(path_of(invited), {"name": ""}).status_code == 303

    assert not User.objects.get(email=EMAIL).has_usable_password()


# Users who have an account


def test_a_user_with_the_invited_address_accepts_by_one_button(
    make_user: MakeUser, browser_of: Browse, invited: IssuedInvitation
) -> None:
    person = make_user("viewer", EMAIL)
    browser = browser_of(person)
    page = browser.get(path_of(invited))
    assert page.context["form"] is None
    assert "You are signed in as <strong>new@example.com</strong>" in page.content.decode()

    answer = browser.post(path_of(invited))

    assert (answer.status_code, answer["Location"]) == (
        303,
        "/account/?notice=invitation-accepted",
    )
    assert "Your role is Editor." in browser.get(answer["Location"]).content.decode()
    person.refresh_from_db()
    assert (person.role, person.check_password(PASSWORD), states()) == ("editor", True, ["used"])
    assert ("account:invitation:accept", "success") in events()


def test_accepting_by_button_asks_for_the_second_factor(
    make_user: MakeUser, browser_of: Browse, owner: User, settings: Settings
) -> None:
    issued = invite(actor=owner, email=EMAIL, role="admin")
    browser = browser_of(make_user("viewer", EMAIL))
    settings.MFA_REQUIRED_ROLES = frozenset({"admin"})

    answer = browser.post(path_of(issued))

    assert (answer.status_code, answer["Location"]) == (303, "/second-factor/set-up")
    assert browser.get("/account/").status_code == 302


def test_a_user_of_a_provider_signs_in_first_and_returns(
    make_user: MakeUser, stranger: Client, invited: IssuedInvitation
) -> None:
    person = make_user("viewer", EMAIL)
    page = stranger.get(path_of(invited)).content.decode()
    assert f"/sign-in?next={path_of(invited).replace('/', '%2F')}" in page

    answer = stranger.post(
        "/sign-in", {"login": EMAIL, "password": PASSWORD, "next": path_of(invited)}
    )
    stranger.post(answer["Location"])

    person.refresh_from_db()
    assert (person.role, states()) == ("editor", ["used"])


def test_a_replaced_invitation_and_a_broken_link_have_different_messages(
    stranger: Client, owner: User, invited: IssuedInvitation
) -> None:
    invite(actor=owner, email=EMAIL, role="viewer")

    replaced = stranger.get(path_of(invited))
    broken = stranger.get(path_of(invited)[:-3])

    assert replaced["Location"] == "/sign-in?notice=invitation-replaced"
    assert (
        b"A newer invitation has replaced this one." in stranger.get(replaced["Location"]).content
    )
    assert broken["Location"] == "/sign-in?notice=link-unknown"


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
    settings.MAIL_TRANSPORT = "tests.accounts.invitation_helpers.some_transport"

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
def test_inviteuser_reports_what_is_wrong(viewer: User, args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*args)

    assert (Invitation.objects.count(), events()) == (0, [])
