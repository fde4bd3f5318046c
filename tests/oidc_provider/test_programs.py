"""Programs get tokens for themselves: the client credentials grant, RFC 6749 section 4.4."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import users
from accounts.services.service_accounts import create_service_account
from accounts.services.sessions import end_sessions
from applications.models import App
from moderation.services.bans import ban
from oidc_provider.models import Grant
from oidc_provider.services import grants
from tests.api.calls import call
from tests.oidc_provider.relying_party import TOKEN, RelyingParty, make_client

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-7000-8000-000000000009"


@pytest.fixture
def account(owner: User, admin: User) -> User:
    return create_service_account(
        actor=owner, username="deploy", responsible=admin, role="viewer", name="Deployments"
    )


@pytest.fixture
def program(owner: User, account: User) -> RelyingParty:
    """A program that acts as the service account."""
    return RelyingParty(
        make_client("service", redirect_uris=[], service_account=str(account.pk)), owner
    )


@pytest.fixture
def backend(owner: User) -> RelyingParty:
    """An app to which programs send their tokens."""
    return RelyingParty(make_client(""), owner)


def ask(party: RelyingParty, **changes: Any) -> Any:
    given = {
        "grant_type": "client_credentials",
        "client_id": party.app.client_id,
        "client_secret": party.secret or None,
    }
    return party.post(TOKEN, given | changes)


def told(party: RelyingParty, access: str) -> dict[str, Any]:
    """What a backend learns that was sent the token, and asks with credentials of its own."""
    form = {"token": access, "client_id": party.app.client_id, "client_secret": party.secret}
    answer: dict[str, Any] = party.post("/api/v1/introspect", form).json()
    return answer


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_a_program_gets_a_token_that_says_what_its_account_may_do(
    program: RelyingParty, backend: RelyingParty, account: User
) -> None:
    """By either way of sending the secret; no refresh token, no ID token, and a limited scope."""
    basic = base64.b64encode(f"{program.app.client_id}:{program.secret}".encode()).decode()
    headers = {"authorization": f"Basic {basic}"}
    in_header = program.post(TOKEN, {"grant_type": "client_credentials"}, **headers)
    for answer in (ask(program), in_header):
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        given = answer.json()
        access = given.pop("access_token")
        assert given == {"token_type": "Bearer", "expires_in": 900, "scope": "profile groups"}
        answer = told(backend, access)
        assert answer.pop("exp")
        assert answer == {
            "active": True,
            "token_type": "access_token",
            "iss": "http://localhost:8000",
            "sub": str(account.pk),
            "username": "deploy",
            "name": "Deployments",
            "role": "viewer",
            "groups": [],
            "scope": "profile groups",
            "client_id": program.app.client_id,
        }
    less = ask(program, scope="groups").json()
    assert less["scope"] == "groups"
    assert "name" not in told(backend, less["access_token"])

    # It is nobody's sign-in, and none of our own credentials.
    about = program.userinfo(access)
    assert error_of(about) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in about["WWW-Authenticate"]
    api = program.http.get("/api/v1/me", headers={"authorization": f"Bearer {access}"})
    assert api.status_code == 401
    # Each token is revoked by itself.
    other = ask(program).json()["access_token"]
    assert program.revoke(access).status_code == 200
    assert told(backend, access) == {"active": False}
    assert told(backend, other)["active"]


def test_what_a_program_may_not_ask_for(
    program: RelyingParty, party: RelyingParty, owner: User, browser: Client
) -> None:
    web = RelyingParty(make_client("web"), owner)
    no_secret = ask(program, client_secret=None)
    for answer, expected in (
        (ask(web), (400, "unauthorized_client")),
        (ask(party), (400, "unauthorized_client")),
        (program.redeem("a code"), (400, "unauthorized_client")),
        (program.refresh("gtr_x"), (400, "unauthorized_client")),
        (ask(program, client_secret="gths_wrong"), (401, "invalid_client")),
        (no_secret, (401, "invalid_client")),
        (ask(program, scope="groups openid"), (400, "invalid_scope")),
        (ask(program, scope="offline_access"), (400, "invalid_scope")),
        (ask(program, scope="email"), (400, "invalid_scope")),
        (ask(program, scope="unknown"), (400, "invalid_scope")),
    ):
        assert error_of(answer) == expected
    assert program.authorize(browser).status_code == 400
    assert not Grant.objects.exists()


OF_PROGRAMS = App.objects.filter(openid_kind="service")
Ending = Callable[[User, User], object]


@pytest.mark.parametrize(
    ("end", "again"),
    [
        (lambda owner, user: ban(actor=owner, user=user, duration=None, reason="x"), False),
        (lambda owner, user: users.disable_user(actor=owner, user=user), False),
        (lambda owner, user: users.delete_user(actor=owner, user=user), False),
        (lambda owner, user: User.objects.filter(pk=user.pk).update(expires_at=timezone.now()),
         False),
        (lambda owner, user: users.change_role(actor=owner, user=user, role="none"), False),
        (lambda owner, user: OF_PROGRAMS.update(service_account=str(owner.pk)), False),
        (lambda owner, user: OF_PROGRAMS.update(openid_kind="web"), False),
        (lambda owner, user: users.change_role(actor=owner, user=user, role="editor"), True),
        (lambda owner, user: end_sessions(actor=owner, user=user), True),
    ],
    ids=["ban", "disable", "delete", "end", "no role", "other account", "kind", "role",
         "end of all"],
)  # fmt: skip
def test_what_ends_the_access_of_the_account_ends_its_tokens_at_once(
    program: RelyingParty,
    backend: RelyingParty,
    account: User,
    owner: User,
    end: Ending,
    again: bool,
) -> None:
    """again: whether the program gets a new token, because its account may still act."""
    access = ask(program).json()["access_token"]
    assert told(backend, access)["active"]

    end(owner, account)

    assert told(backend, access) == {"active": False}
    if again:
        assert told(backend, ask(program).json()["access_token"])["active"]
    else:
        assert error_of(ask(program)) == (400, "unauthorized_client")


def test_a_token_of_a_program_expires_and_is_purged(
    program: RelyingParty, at_time: Callable[[timedelta], Any]
) -> None:
    access = ask(program).json()["access_token"]
    now = at_time(timedelta(minutes=15, seconds=1))

    assert grants.find_access(access) is None
    assert grants.purge_grants(now - timedelta(days=30)) == 1


def test_an_owner_links_a_program_to_a_service_account(
    owner: User, account: User, browser_of: Callable[[User], Client]
) -> None:
    """In the panel and by the API; a person's account is refused."""
    app, browser = make_client("", redirect_uris=[], is_trusted=False), browser_of(owner)
    path = f"/admin/applications/app/{app.pk}/change/"
    form = {"name": "Wiki", "url": "https://wiki.example.com", "slug": "wiki", "position": "10"}
    form |= {"openid_kind": "service", "openid_role": "viewer", "proxy": ""}
    for wrong in ("", str(owner.pk)):
        answer = browser.post(path, form | {"service_account": wrong})
        assert {*answer.context["adminform"].form.errors} == {"service_account"}

    assert browser.post(path, form | {"service_account": str(account.pk)}).status_code == 302

    app.refresh_from_db()
    assert (app.openid_kind, app.service_account) == ("service", str(account.pk))
    page = browser.get(path).content.decode()
    assert "client_credentials" in page
    assert "deploy</option>" in page
    for wrong in ("", "deploy", NOBODY, str(owner.pk)):
        refused = call(browser, "PATCH", f"apps/{app.pk}", {"service_account": wrong})
        assert (refused.status_code, [*refused.json()["errors"]]) == (402, ["service_account"])
    users.delete_user(actor=owner, user=account)
    assert "an account that is gone" in browser.get(path).content.decode()
