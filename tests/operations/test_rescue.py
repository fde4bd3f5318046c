"""`manage.py rescue`: whatever locks an owner out, the machine lets them in again, and no one else.

A new way to be locked out is a row of LOCKED_OUT.
"""

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.service_accounts import create_service_account
from accounts.services.sessions import end_sessions
from audit.models import AuditEvent
from federation.models import ExternalIdentity, PausedProvider
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mail.conf import MailSettings
from mail.models import OutboxMail
from mfa.models import Authenticator
from moderation.models import Ban
from tests.api.keys import call_with, made
from tests.conftest import PASSWORD
from tests.mfa.authenticator import set_up_app
from tests.mfa.test_required import app_on

pytestmark = pytest.mark.django_db
AWAY = "203.0.113.7"
NEW = "seven quiet rivers under glass"
LINK = "link:login:issue"
RESCUE = "account:user:rescue"


class Said(NamedTuple):
    """link: the path on standard output, alone there. notes: standard error."""

    link: str
    notes: str


def run(*arguments: str) -> Said:
    out, notes = StringIO(), StringIO()
    call_command("rescue", *arguments, stdout=out, stderr=notes)
    (line,) = out.getvalue().splitlines()
    return Said(line.removeprefix("http://localhost:8000"), notes.getvalue())


def browser(ip: str = "127.0.0.1") -> Client:
    return Client(headers={"host": "localhost:8000"}, REMOTE_ADDR=ip)


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def by_password(client: Client, user: User, password: str = PASSWORD) -> Any:
    return client.post("/sign-in", {"login": user.email, "password": password})


# What locks out


def _forget_password(user: User, _settings: Settings) -> None:
    user.set_password("a phrase that no one knows any more")
    user.save(update_fields=["password"])


def _lose_app(user: User, _settings: Settings) -> None:
    set_up_app(user)


def _lose_passkey(user: User, _settings: Settings) -> None:
    Authenticator.objects.create(
        user=user, kind="passkey", name="Key", credential_id="AAAA", credential={}
    )


def _block_codes(user: User, _settings: Settings) -> None:
    """Someone with the password has typed codes until no one may."""
    app, thief = set_up_app(user), browser()
    by_password(thief, user)
    for _attempt in range(6):
        thief.post("/second-factor", {"code": app.wrong_code()})
    assert thief.post("/second-factor", {"code": app.code()}).status_code == 429


def _block_passwords(user: User, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "sign-in-account": (3, timedelta(minutes=5))}
    for attempt in range(4):
        by_password(browser(), user, f"wrong {attempt}")


def _ban(user: User, _settings: Settings) -> None:
    for reason in ("Too loud.", "Still too loud."):
        Ban.objects.create(user=user, kind="manual", reason=reason)


def _ban_network(_user: User, _settings: Settings) -> None:
    Ban.objects.create(network=AWAY, kind="automatic", reason="Too many failed sign-ins.")


def _disable(user: User, _settings: Settings) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _end(user: User, _settings: Settings) -> None:
    User.objects.filter(pk=user.pk).update(expires_at=timezone.now() - timedelta(days=1))


def _unverify(user: User, _settings: Settings) -> None:
    User.objects.filter(pk=user.pk).update(email_verified_at=None)


def _only_providers(user: User, settings: Settings) -> None:
    """The one that is left is switched off."""
    settings.ALLOW_EMAIL_LOGIN = settings.ALLOW_MAGIC_LINK_LOGIN = False
    ExternalIdentity.objects.create(user=user, provider="dead", subject="1")
    PausedProvider.objects.create(provider="dead")


def _two_owners_locked_out(user: User, settings: Settings) -> None:
    """With the two-person rule, another owner would have to confirm it, and is locked out too."""
    settings.TWO_PERSON_RULE = True
    other = User(email="second@example.com", role="owner", email_verified_at=timezone.now())
    other.save()
    Ban.objects.create(user=other, kind="manual", reason="-")
    _disable(user, settings)


def _no_owner(user: User, _settings: Settings) -> None:
    """They may sign in, and no one may enter the panel as owner."""
    User.objects.filter(pk=user.pk).update(role="none")


def _require_factor(_user: User, settings: Settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("owner",)


def _lose_required_app(user: User, settings: Settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("owner",)
    set_up_app(user)


def _everything(user: User, settings: Settings) -> None:
    for lock in (_disable, _end, _ban, _lose_app, _no_owner):
        lock(user, settings)
    _ban_network(user, settings)


class Case(NamedTuple):
    """actions: of the audit log, before those of the link. mended: in the row of the rescue.

    ip: from where the person signs in. says: on standard error. has_set_up: a second factor is
    set up before the sign-in is complete. panel: the status of the admin panel before.
    """

    lock: Callable[[User, Settings], None]
    actions: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ip: str = "127.0.0.1"
    says: str = ""
    has_set_up: bool = False
    panel: int = 302


RESET = ("account:factor:reset",)
LOCKED_OUT = {
    "forgotten password, no mail": Case(
        _forget_password, says="No mail service is configured: links and resets stay"
    ),
    "lost app": Case(
        _lose_app, RESET, ("second_factor",), says="Every sign-in asks for a second factor: totp."
    ),
    "lost passkey": Case(_lose_passkey, RESET, ("second_factor",), says="factor: passkey."),
    "lost app, and a factor is required": Case(
        _lose_required_app, RESET, ("second_factor",), says="the set-up of a new", has_set_up=True
    ),
    "a factor is required": Case(_require_factor, says="the set-up of a new", has_set_up=True),
    "codes are blocked": Case(
        _block_codes, RESET, ("second_factor", "attempts"), says="no code is accepted for"
    ),
    "passwords are blocked": Case(_block_passwords, says="After wrong passwords, new browsers"),
    "banned": Case(
        _ban, ("moderation:ban:lift",) * 2, ("ban", "ban"), says="until it is lifted: Too loud."
    ),
    "banned network": Case(
        _ban_network, ("moderation:ban:lift",), ("network_ban",), ("--network", AWAY), AWAY,
        says=f"The network {AWAY} is banned until it is lifted",
    ),
    "disabled": Case(
        _disable, ("account:user:enable",), ("disabled",), says="The account is disabled."
    ),
    "ended": Case(_end, ("account:expiry:clear",), ("expired",), says="The access ended on"),
    "unverified": Case(_unverify, says="The address is not verified."),
    "methods switched off": Case(
        _only_providers, says="dead, which is not configured any more"
    ),
    "two-person rule": Case(_two_owners_locked_out, ("account:user:enable",), ("disabled",)),
    "no owner": Case(
        _no_owner,
        ("account:role:change",),
        ("role",),
        ("--owner",),
        says="The role is none.",
        panel=403,
    ),
    "everything": Case(
        _everything,
        ("account:user:enable", "moderation:ban:lift", "moderation:ban:lift",
         "moderation:ban:lift", "account:factor:reset", "account:role:change"),
        ("disabled", "expired", "ban", "ban", "network_ban", "second_factor", "role"),
        ("--owner", "--network", AWAY),
        AWAY,
    ),
}  # fmt: skip


@pytest.fixture
def bystander(make_user: Callable[..., User]) -> User:
    """Locked out in each way, and no one rescues them."""
    user = make_user("editor", "bystander@example.com", is_active=False)
    set_up_app(user)
    Ban.objects.create(user=user, kind="manual", reason="-")
    Ban.objects.create(user=user, network=AWAY, kind="manual", reason="-", until=timezone.now())
    return user


def _rows(user: User) -> list[Any]:
    tables = (
        user.authenticators,
        user.recovery_codes,
        user.bans,
        LoginLink.objects.filter(user=user),
    )
    return [
        User.objects.values().get(pk=user.pk),
        *(list(each.order_by("pk").values()) for each in tables),
    ]


@pytest.mark.parametrize("name", LOCKED_OUT)
def test_whatever_locks_them_out_they_are_let_in_again(
    owner: User, bystander: User, settings: Settings, name: str
) -> None:
    case = LOCKED_OUT[name]
    case.lock(owner, settings)
    client = browser(case.ip)
    by_password(client, owner)
    assert client.get("/admin/").status_code == case.panel
    assert is_in(client) is (case.panel == 403)
    before, of_others = AuditEvent.objects.count(), _rows(bystander)

    said = run(owner.email, *case.options, "--yes")

    rows = list(AuditEvent.objects.order_by("seq"))[before:]
    assert [row.action for row in rows] == [*case.actions, LINK, RESCUE]
    assert {(row.actor_id, row.channel, row.result) for row in rows} == {
        (None, "command", "success")
    }
    targets = {row.target_id for row in rows if row.detail.get("covers") != ["network"]}
    assert targets == {owner.pk}
    assert rows[-1].detail == {"mended": list(case.mended)}
    assert case.says in said.notes
    assert said.link not in said.notes

    client = browser(case.ip)
    client.post(said.link)
    if case.has_set_up:
        assert not is_in(client)
        page = client.get("/second-factor/set-up").content.decode()
        client.post("/second-factor/set-up", {"code": app_on(page).code(), "name": "New phone"})
    assert is_in(client)
    assert client.get("/admin/").status_code == 200
    assert _rows(bystander) == of_others


def test_the_link_works_once_and_not_for_long(
    owner: User, at_time: Callable[[timedelta], object]
) -> None:
    used = run(owner.email, "--yes").link
    browser().post(used)
    second = browser()
    assert second.post(used)["Location"] == "/sign-in?notice=link-used"
    assert not is_in(second)

    kept = run(owner.email, "--yes").link
    expires_at = LoginLink.objects.order_by("pk").last().expires_at

    assert expires_at - timezone.now() <= timedelta(minutes=15)
    at_time(timedelta(minutes=15, seconds=1))
    late = browser()
    late.post(kept)
    assert not is_in(late)


def test_the_notes_say_what_hinders_without_asking_a_server(
    owner: User, settings: Settings
) -> None:
    settings.SIGN_IN_PROVIDERS = (SimpleNamespace(id="google"),)
    settings.MAIL = MailSettings("smtp", "gate@example.com", host="127.0.0.1", port=1)
    settings.ALLOW_MAGIC_LINK_LOGIN = False
    ExternalIdentity.objects.create(user=owner, provider="google", subject="1")
    PausedProvider.objects.create(provider="google")
    OutboxMail.objects.create(
        recipient="a@example.com", kind="trial", status="queued", attempts=1, last_error="no route"
    )
    owner.set_password(None)
    owner.role_until, owner.role_after = timezone.now() + timedelta(days=1), "viewer"
    owner.save()

    notes = run(owner.email, "--yes").notes

    for said in (
        "google is switched off; `manage.py switchprovider google on` undoes it.",
        "UTC: no route",
        "No one asks for a sign-in link (ALLOW_MAGIC_LINK_LOGIN=false).",
        "The account has no password.",
        "The role owner ends on",
    ):
        assert said in notes


def test_a_user_of_the_directory_is_let_in_while_it_is_away(
    owner: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LDAP = SimpleNamespace(is_exclusive=False)
    ExternalIdentity.objects.create(user=owner, provider="ldap", subject="1")
    _disable(owner, settings)

    said = run(owner.email, "--yes")

    assert "The password is that of the directory, which must answer" in said.notes
    client = browser()
    client.post(said.link)
    assert is_in(client)

    _disable(owner, settings)
    monkeypatch.setattr(sys, "stdin", StringIO(f"{NEW}\n"))
    with pytest.raises(CommandError, match="kept in the directory"):
        run(owner.email, "--password-stdin", "--yes")
    owner.refresh_from_db()
    assert not owner.is_active


def test_links_from_before_end(owner: User) -> None:
    older = issue_link(owner, actor=SYSTEM, lifetime=timedelta(hours=1), source="command").url

    run(owner.email, "--yes")

    client = browser()
    client.post(older.removeprefix("http://localhost:8000"))
    assert not is_in(client)


def test_someone_who_still_has_the_factor_keeps_it(owner: User) -> None:
    app = set_up_app(owner)
    _ban(owner, None)

    said = run(owner.email, "--keep-factors", "--yes")

    assert "second factor" not in said.notes
    client = browser()
    client.post(said.link)
    assert not is_in(client)
    client.post("/second-factor", {"code": app.code()})
    assert is_in(client)


def test_a_new_password_can_be_set_at_once_and_ends_what_was_there(
    owner: User, browser_of: Callable[[User], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    thief, key = browser_of(owner), made(owner).text
    monkeypatch.setattr(sys, "stdin", StringIO(f"{NEW}\n"))

    said = run(owner.email, "--password-stdin", "--yes")

    assert NEW not in said.notes
    row = AuditEvent.objects.get(action=RESCUE)
    assert row.detail == {"mended": ["password"]}
    assert not is_in(thief)
    assert call_with(key).status_code == 403
    for password, is_right in ((PASSWORD, False), (NEW, True)):
        client = browser()
        by_password(client, owner, password)
        assert is_in(client) is is_right
    client = browser()
    client.post(said.link)
    assert is_in(client)


def test_a_refused_password_changes_nothing(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _disable(owner, None)
    monkeypatch.setattr(sys, "stdin", StringIO("short\n"))
    before = _rows(owner), AuditEvent.objects.count()

    with pytest.raises(CommandError, match="at least 15 characters"):
        run(owner.email, "--password-stdin", "--yes")

    assert (_rows(owner), AuditEvent.objects.count()) == before


def test_what_a_stranger_set_up_before_the_address_was_verified_ends(owner: User) -> None:
    """The address may have been registered in advance: the password is that of the stranger."""
    _unverify(owner, None)
    set_up_app(owner)

    said = run(owner.email, "--keep-factors", "--yes")

    client = browser()
    client.post(said.link)
    assert is_in(client)
    owner.refresh_from_db()
    assert owner.is_verified
    assert not owner.has_usable_password()
    assert Authenticator.objects.count() == 0
    stranger = browser()
    by_password(stranger, owner)
    assert not is_in(stranger)


def test_an_unverified_account_gets_no_password(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _unverify(owner, None)
    monkeypatch.setattr(sys, "stdin", StringIO(f"{NEW}\n"))

    with pytest.raises(CommandError, match="The address is not verified"):
        run(owner.email, "--password-stdin", "--yes")

    assert AuditEvent.objects.count() == 0


def test_an_owner_who_was_never_set_up_gets_the_set_up_link(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(setup_completed=False)

    said = run(owner.email, "--yes")

    assert [row.action for row in AuditEvent.objects.order_by("seq")] == [
        "account:set-up:issue",
        RESCUE,
    ]
    assert "The account has not been set up" in said.notes
    client = browser()
    client.post(said.link, {"email": owner.email, "name": "", "password": NEW})
    assert is_in(client)


def test_a_session_that_was_ended_stays_ended(
    owner: User, browser_of: Callable[[User], Client]
) -> None:
    old = browser_of(owner)
    end_sessions(actor=SYSTEM, user=owner)

    said = run(owner.email, "--yes")

    assert not is_in(old)
    client = browser()
    client.post(said.link)
    assert is_in(client)


def test_a_network_is_opened_only_if_it_is_asked_for(owner: User) -> None:
    by_password(browser(AWAY), owner)
    _ban_network(owner, None)

    said = run(owner.email, "--yes")

    assert f"Add --network {AWAY} to lift the ban." in said.notes
    assert Ban.objects.get().lifted_at is None
    client = browser(AWAY)
    client.post(said.link)
    assert not is_in(client)


def test_the_ban_of_someone_else_stays_where_their_network_is_opened(
    owner: User, bystander: User
) -> None:
    Ban.objects.filter(user=bystander, network=AWAY).update(until=None)
    _ban_network(owner, None)

    other = Ban.objects.get(user=bystander, network=AWAY)

    said = run(owner.email, "--network", AWAY, "--yes")

    assert f"`manage.py unban --id {other.pk}` lifts the ban, which is of an account" in said.notes
    assert "Add --network" not in said.notes
    lifted = Ban.objects.filter(lifted_at__isnull=False)
    assert [ban.user_id for ban in lifted] == [None]


def test_a_ban_of_account_and_network_is_lifted_as_one(owner: User) -> None:
    Ban.objects.create(user=owner, network=AWAY, kind="manual", reason="-")

    said = run(owner.email, "--yes")

    assert f"- The account and the network {AWAY} are banned until it is lifted" in said.notes
    client = browser(AWAY)
    client.post(said.link)
    assert is_in(client)


def test_without_a_confirmation_it_shows_and_changes_nothing(owner: User) -> None:
    _ban(owner, None)
    set_up_app(owner)
    before = _rows(owner), AuditEvent.objects.count()
    out, notes = StringIO(), StringIO()

    with pytest.raises(CommandError, match="Add --yes"):
        call_command("rescue", owner.email, stdout=out, stderr=notes)
    call_command("rescue", owner.email, "--dry-run", stdout=out, stderr=notes)

    assert (_rows(owner), AuditEvent.objects.count()) == before
    assert out.getvalue() == ""
    ban = "- The account is banned until it is lifted: Too loud. -> the ban is lifted\n"
    assert notes.getvalue().count(ban) == 2
    assert notes.getvalue().endswith("Nothing was changed.\n")


def test_an_account_that_nothing_keeps_out_is_told_so_and_gets_a_link(owner: User) -> None:
    said = run(owner.email, "--yes")

    assert "- Nothing about the account keeps them out." in said.notes
    assert AuditEvent.objects.get(action=RESCUE).detail == {"mended": []}


def test_without_any_owner_it_says_how_to_make_one(editor: User) -> None:
    said = run(editor.email, "--yes")

    assert "No owner of this instance can act. Add --owner" in said.notes
    editor.refresh_from_db()
    assert editor.role == "editor"


def test_a_service_account_and_a_stranger_are_refused(owner: User) -> None:
    create_service_account(actor=owner, username="bot", responsible=owner, role="viewer")
    before = AuditEvent.objects.count()

    with pytest.raises(CommandError, match="service account"):
        run("bot", "--owner", "--yes")
    with pytest.raises(CommandError, match="No account has the address or user name"):
        run("nobody@example.com", "--owner", "--yes")
    with pytest.raises(CommandError, match="Enter one address"):
        run(owner.email, "--network", "everywhere", "--yes")

    assert AuditEvent.objects.count() == before


def test_the_link_is_in_no_audit_row_and_no_mail(
    owner: User, mails: Callable[[], list[Any]]
) -> None:
    set_up_app(owner)

    token = run(owner.email, "--yes").link.rpartition("/")[2]

    assert re.fullmatch(r"[\w-]{43}", token)
    assert [mail.kind for mail in mails()][-1] == "factors-reset"
    assert not any(token in str(row) for row in AuditEvent.objects.values())
    assert not any(token in str(row) for row in LoginLink.objects.values())


def test_it_needs_no_network(
    owner: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests open no connections to other servers anyway; here asking would be an error."""

    def ask(*_arguments: object) -> None:
        raise AssertionError("rescue asked another server")

    monkeypatch.setattr("socket.create_connection", ask)
    monkeypatch.setattr("socket.getaddrinfo", ask)

    assert run(owner.email, "--yes").link.startswith("/magic-link/")
