"""The access policy: a user who may not act cannot sign in by any method, and is signed out.

A new sign-in method is a row of SIGN_IN_METHODS; a new way to lose access is a row of LOSSES.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import access_policy
from accounts.access_policy import DenialReason
from accounts.actors import SYSTEM
from accounts.models import AccountToken, User
from accounts.services import users
from accounts.services.email_tokens import issue_token
from accounts.services.passwords import set_password
from accounts.services.sessions import end_sessions
from audit.models import AuditEvent
from magiclinks.services import issue_link
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
SignIn = Callable[[Client], None]


def by_password(user: User) -> SignIn:
    return lambda client: client.post("/sign-in", {"login": user.email, "password": PASSWORD})


def by_magic_link(user: User) -> SignIn:
    issued = issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
    return lambda client: client.post(issued.url.removeprefix("http://localhost:8000"))


def by_password_reset(user: User) -> SignIn:
    purpose = AccountToken.Purpose.RESET_PASSWORD
    token = issue_token(user, purpose, lifetime=timedelta(hours=1)).token
    new = "a quite different phrase of words"

    def enter(client: Client) -> None:
        client.post(f"/password/reset/{token}", {"password": new})
        client.post("/sign-in", {"login": user.email, "password": new})

    return enter


SIGN_IN_METHODS = {"password": by_password, "magic link": by_magic_link, "reset": by_password_reset}
LOSSES: dict[str, Callable[[User], object]] = {
    "disabled": lambda user: users.disable_user(actor=SYSTEM, user=user),
    "deleted": lambda user: users.delete_user(actor=SYSTEM, user=user),
    "unclaimed": lambda user: User.objects.filter(pk=user.pk).update(setup_completed=False),
}


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
@pytest.mark.parametrize("loss", LOSSES)
def test_no_sign_in_method_accepts_a_user_without_access(
    editor: User, stranger: Client, method: str, loss: str
) -> None:
    enter = SIGN_IN_METHODS[method](editor)
    LOSSES[loss](editor)

    enter(stranger)

    assert not is_in(stranger)
    assert not AuditEvent.objects.filter(action="account:session:start", result="success").exists()


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_every_sign_in_method_accepts_a_user_with_access(
    editor: User, stranger: Client, method: str
) -> None:
    SIGN_IN_METHODS[method](editor)(stranger)

    assert is_in(stranger)
    assert AuditEvent.objects.filter(action="account:session:start", result="success").count() == 1


@pytest.mark.parametrize("method", SIGN_IN_METHODS)
def test_an_additional_access_check_applies_to_every_sign_in_method(
    editor: User, stranger: Client, method: str, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = SIGN_IN_METHODS[method](editor)
    settings.ACCESS_CHECKS = ["tests.accounts.test_access_policy.closed"]

    enter(stranger)

    assert not is_in(stranger)


def closed(_user: User) -> DenialReason | None:
    """An additional access check, as another app adds it."""
    return DenialReason("banned", "Banned for the test.")


@pytest.mark.parametrize(
    "loss",
    {
        **LOSSES,
        "demoted": lambda user: users.change_role(actor=SYSTEM, user=user, role="viewer"),
        "password changed": lambda user: set_password(
            actor=SYSTEM, user=user, new="an entirely new phrase of words"
        ),
        "signed out everywhere": lambda user: end_sessions(actor=SYSTEM, user=user),
    }.values(),
)
def test_a_session_ends_when_access_is_lost(
    editor: User, browser_of: Callable[[User], Client], loss: Callable[[User], object]
) -> None:
    browser = browser_of(editor)
    assert is_in(browser)

    loss(editor)

    assert not is_in(browser)


def test_an_additional_access_check_ends_a_live_session(
    editor: User, browser_of: Callable[[User], Client], settings
) -> None:
    browser = browser_of(editor)

    settings.ACCESS_CHECKS = ["tests.accounts.test_access_policy.closed"]

    assert not is_in(browser)


@pytest.mark.parametrize("method", ["magic link", "reset"])
def test_a_link_issued_before_credentials_valid_from_is_rejected(
    editor: User, stranger: Client, method: str
) -> None:
    enter = SIGN_IN_METHODS[method](editor)
    end_sessions(actor=SYSTEM, user=editor)

    enter(stranger)

    assert not is_in(stranger)


def test_the_denial_says_why(make_user: Callable[..., User]) -> None:
    now = timezone.now()
    active = make_user("editor", "a@example.com")
    disabled = make_user("editor", "d@example.com", is_active=False)
    unclaimed = make_user("owner", "u@example.com", setup_completed=False)

    def code(user: User | None, **options: object) -> str | None:
        found = access_policy.get_denial(user, **options)  # type: ignore[arg-type]
        return found and found.code

    assert code(None) == "not_authenticated"
    assert code(disabled) == "account_disabled"
    assert code(unclaimed) == "setup_pending"
    assert code(active) is None
    assert code(active, credential_at=now - timedelta(days=1)) == "token_invalid"
    assert code(active, credential_at=now + timedelta(days=1)) is None
    assert code(active, floor=access_policy.Role.ADMIN) == "forbidden"
    assert code(active, floor=access_policy.Role.EDITOR) is None
