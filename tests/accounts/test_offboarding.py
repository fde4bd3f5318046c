"""Offboarding: everything that an account can be entered with ends, and is tried."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AccountToken, BrowserSession, Invitation, User
from accounts.offboarding.credential_kinds import CredentialKind
from accounts.offboarding.report import find_report
from accounts.services import offboard as service
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.invitations import invite
from accounts.services.offboard import offboard
from accounts.services.passwords import begin_reset
from accounts.services.users import disable_user, enable_user
from accounts.system_checks import check_credential_kinds
from api.models import ApiKey, ForeignIdentity, TokenFamily
from api.tokens.refresh_tokens import start_by_password
from audit.models import AuditEvent
from core.errors import Forbidden, LastOwner
from federation.models import ExternalIdentity
from forward_auth.services.cookies import issue_forward_auth_cookie
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mfa.models import Authenticator, TrustedBrowser
from tests.api.calls import call, problem
from tests.api.keys import call_with, made
from tests.oidc_provider.relying_party import RelyingParty, make_client

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
KINDS = {
    "password": 1,
    "passkeys": 1,
    "provider_sign_ins": 1,
    "sessions": 2,
    "trusted_browsers": 1,
    "tokens": 1,
    "api_keys": 1,
    "external_tokens": 1,
    "app_sign_ins": 1,
    "login_links": 1,
    "account_links": 0,
    "invitations_for": 1,
    "invitations_by": 1,
    "groups": 1,
    "proxy_checks": 6,
}


class StillOpen(CredentialKind):
    """A kind of a team's own app that does not ask the access policy."""

    name, label = "open", "Back door"

    def find(self, user: User, now: datetime) -> Sequence[str]:
        return ["it"]

    def refusal(self, user: User, credential: str) -> str:
        return ""


class ClosesLate(CredentialKind):
    """A kind that is refused at the third attempt, as by a cache that is invalidated late."""

    name, label = "late", "Late"
    tries = 0

    def find(self, user: User, now: datetime) -> Sequence[str]:
        return ["it"]

    def refusal(self, user: User, credential: str) -> str:
        ClosesLate.tries += 1
        return "ended" if ClosesLate.tries == 3 else ""


@pytest.fixture
def armed(admin: User, owner: User, browser_of: BrowserOf, settings: Any) -> dict[str, Any]:
    """`admin` with one of everything; the secrets by name."""
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    now, day = timezone.now(), timedelta(days=1)
    client, other = browser_of(admin), browser_of(admin)
    cookie = issue_forward_auth_cookie(str(client.session.session_key))
    invite(actor=owner, email="new@example.com", role="viewer")
    Invitation.objects.update(email=admin.email)
    invite(actor=admin, email="friend@example.com", role="editor")
    TrustedBrowser.objects.create(user=admin, digest="d" * 64, expires_at=now + day)
    add_member(actor=owner, user=admin, group=create_group(actor=owner, name="finance"))
    Authenticator.objects.create(user=admin, kind="passkey", name="Key", credential_id="x")
    ExternalIdentity.objects.create(user=admin, provider="github", subject="1")
    ForeignIdentity.objects.create(user=admin, issuer="https://id.example.com", subject="1")
    openid = RelyingParty(make_client())
    return {
        "app": (openid, openid.sign_in(other)),
        "client": client,
        "other": other,
        "cookie": cookie,
        "key": made(admin).text,
        "pair": start_by_password(User.objects.get(pk=admin.pk), timezone.now()),
        "link": issue_link(admin, actor=owner, lifetime=day, source="panel").url,
    }


def check(**headers: str) -> int:
    """The status of a check of a proxy, as the fast path or Django gives it."""
    asked = {"x-original-url": "https://app.example.com/", "x-original-method": "GET"}
    return Client(headers={**asked, **headers}).get("/auth/check").status_code


def test_everything_is_refused_and_the_report_says_how_fast(
    armed: dict[str, Any], admin: User, owner: User
) -> None:
    assert check(cookie=f"gatehouse_gate={armed['cookie']}") == 204
    assert check(**{"x-api-key": armed["key"]}) == 204

    report = offboard(actor=owner, user=admin, reason="Left")

    assert {kind.name: kind.count for kind in report.kinds} == KINDS
    assert [kind.accepted for kind in report.kinds] == [0] * len(KINDS)
    assert [kind.refused for kind in report.kinds] == [*KINDS.values()]
    assert report.is_proved
    assert report.email == "admin@example.com"
    assert report.actor == "owner@example.com"
    assert report.was_disabled is False
    # Requests of the real clients
    assert armed["client"].get("/account/").status_code == 302
    assert check(cookie=f"gatehouse_gate={armed['cookie']}") == 401
    assert check(**{"x-api-key": armed["key"]}) == 401
    assert problem(call_with(armed["key"])) == (403, "api_key_invalid")
    tokens = armed["pair"]
    bearer = Client(headers={"authorization": f"Bearer {tokens.access}"})
    assert problem(bearer.get("/api/v1/me")) == (401, "token_invalid")
    refreshed = Client().post(
        "/api/v1/auth/token/refresh", {"refresh": tokens.refresh}, "application/json"
    )
    assert problem(refreshed) == (401, "token_invalid")
    # Each has ended in the database as well, so enabling the account brings nothing back.
    enable_user(actor=owner, user=admin)
    assert not BrowserSession.objects.filter(user=admin).exists()
    assert not TrustedBrowser.objects.exists()
    assert ApiKey.objects.get().revoked_at is not None
    assert TokenFamily.objects.get().end_reason == "signed-out"
    assert LoginLink.objects.get().replaced_at is not None
    assert [row.replaced_at is None for row in Invitation.objects.all()] == [False, False]


def test_audit_rows_hold_counts_and_no_secret(
    armed: dict[str, Any], admin: User, owner: User
) -> None:
    report = offboard(actor=owner, user=admin, reason="Left")

    rows = list(AuditEvent.objects.filter(target_id=admin.pk).order_by("-seq")[:3])
    assert [row.action for row in rows] == [
        "account:offboarding:verify",
        "account:user:offboard",
        "account:user:disable",
    ]
    assert rows[1].detail == {"counts": KINDS, "was_disabled": False, "reason": "Left"}
    assert rows[0].result == "success"
    assert rows[0].detail["kinds"]["sessions"]["reasons"] == {"ended": 2}
    assert rows[0].detail["kinds"]["password"]["reasons"] == {"account_disabled": 1}
    written = json.dumps([row.detail for row in rows]) + json.dumps(report.as_json())
    digests = [*BrowserSession.objects.values_list("pk", flat=True), ApiKey.objects.get().digest]
    secrets = [armed["cookie"], armed["key"], armed["pair"].access, armed["link"], *digests]
    assert [secret for secret in secrets if secret in written] == []


def test_a_link_to_reset_the_password_ends(admin: User, owner: User, stranger: Client) -> None:
    url = begin_reset(actor=owner, user=admin).url.removeprefix("http://localhost:8000")

    report = offboard(actor=owner, user=admin)

    (found,) = [kind for kind in report.kinds if kind.name == "account_links"]
    assert (found.count, found.refused) == (1, 1)
    assert AccountToken.objects.get().replaced_at is not None
    assert (
        b'name="password"' not in stranger.get(url, follow=True).content.partition(b"/sign-in")[0]
    )


@pytest.mark.parametrize(
    ("actor", "target"), [("admin", "owner"), ("admin", "admin"), ("editor", "viewer")]
)
def test_rank_rules_are_those_of_disabling(
    make_user: Callable[..., User], actor: str, target: str
) -> None:
    make_user("owner", "first@example.com")
    user = make_user(target, "target@example.com")

    with pytest.raises(Forbidden):
        offboard(actor=make_user(actor, "actor@example.com"), user=user)

    assert User.objects.get(pk=user.pk).is_active
    assert not AuditEvent.objects.filter(target_id=user.pk).exists()


def test_last_owner_keeps_everything(owner: User) -> None:
    key = made(owner)

    with pytest.raises(LastOwner):
        offboard(actor=SYSTEM, user=owner)

    assert User.objects.get(pk=owner.pk).is_active
    assert ApiKey.objects.get(pk=key.key.pk).revoked_at is None


def test_it_is_safe_to_repeat(armed: dict[str, Any], admin: User, owner: User) -> None:
    first = offboard(actor=owner, user=admin)

    second = offboard(actor=owner, user=admin)

    assert second.was_disabled
    assert second.is_proved
    left = {kind.name: kind.count for kind in second.kinds if kind.count}
    assert left == {"password": 1, "passkeys": 1, "provider_sign_ins": 1, "external_tokens": 1}
    assert AuditEvent.objects.filter(action="account:user:disable").count() == 1
    assert find_report(admin.pk, first.number) == first


def test_it_ends_what_a_disabled_account_still_has(admin: User, owner: User) -> None:
    disable_user(actor=owner, user=admin)
    invite(actor=owner, email="new@example.com")
    Invitation.objects.update(email=admin.email)

    report = offboard(actor=owner, user=admin)

    (found,) = [kind for kind in report.kinds if kind.name == "invitations_for"]
    assert (found.count, found.accepted) == (1, 0)
    assert Invitation.objects.get().replaced_at is not None


def test_credentials_that_are_still_accepted_are_reported(
    viewer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PATIENCE_SECONDS", 0.0)
    settings.CREDENTIAL_KINDS = [f"{__name__}.StillOpen"]

    report = offboard(actor=SYSTEM, user=viewer)

    assert not report.is_proved
    assert [(kind.name, kind.accepted) for kind in report.accepted] == [("open", 1)]
    assert AuditEvent.objects.get(pk=report.number).result == "failure"
    out = StringIO()
    with pytest.raises(CommandError, match="is disabled, but still accepted: open"):
        call_command("offboarduser", "viewer@example.com", "--yes", stdout=out)
    assert "Back door: 1, 1 STILL ACCEPTED" in out.getvalue()


def test_it_waits_for_what_is_refused_a_moment_later(
    viewer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RETRY_SECONDS", 0.0)
    settings.CREDENTIAL_KINDS = [f"{__name__}.ClosesLate"]

    report = offboard(actor=SYSTEM, user=viewer)

    assert ClosesLate.tries == 3
    assert report.is_proved
    assert report.kinds[0].reasons == {"ended": 1}


def test_a_kind_without_a_name_of_its_own_stops_the_start(settings: Any) -> None:
    settings.CREDENTIAL_KINDS = [f"{__name__}.StillOpen"] * 2

    assert [message.id for message in check_credential_kinds()] == ["accounts.E003"]


def test_command_prints_the_report(armed: dict[str, Any], admin: User) -> None:
    out = StringIO()

    call_command("offboarduser", "admin@example.com", "--json", "--yes", stdout=out)

    printed = json.loads(out.getvalue())
    assert printed["is_proved"] is True
    assert {kind["name"]: kind["count"] for kind in printed["kinds"]} == KINDS
    assert not User.objects.get(pk=admin.pk).is_active


def test_command_asks_first(viewer: User) -> None:
    with pytest.raises(CommandError, match="Add --yes"):
        call_command("offboarduser", "viewer@example.com")

    assert User.objects.get(pk=viewer.pk).is_active


def test_api_answers_the_report(browser_of: BrowserOf, owner: User, viewer: User) -> None:
    made(viewer)

    answer = call(browser_of(owner), "POST", f"users/{viewer.pk}/offboard", {"reason": "Left"})

    assert answer.status_code == 200
    assert answer.json()["is_proved"] is True
    kinds = {kind["name"]: kind for kind in answer.json()["kinds"]}
    assert kinds["api_keys"]["refused"] == 1
    assert kinds["api_keys"]["reasons"] == {"api_key_invalid": 1}
    assert not User.objects.get(pk=viewer.pk).is_active
    assert AuditEvent.objects.get(action="account:user:offboard").detail["reason"] == "Left"


def test_api_refuses_a_higher_rank(browser_of: BrowserOf, admin: User, owner: User) -> None:
    answer = call(browser_of(admin), "POST", f"users/{owner.pk}/offboard", {})

    assert problem(answer) == (403, "forbidden")
    assert User.objects.get(pk=owner.pk).is_active
