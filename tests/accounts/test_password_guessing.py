"""Every password check counts first, writes an audit row and shares one limit."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import AccountToken, User
from accounts.rate_limits import limit_for
from accounts.services.verification import mail_verification
from audit.models import AuditEvent
from core.app_labels import OWN_APPS
from tests.api.calls import API, call
from tests.conftest import PASSWORD, path_in

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
Place = Callable[[Client, User, str], Any]
NEW = "seven quiet rivers under ice"


def _sign_in(browser: Client, user: User, password: str) -> Any:
    return browser.post("/sign-in", {"login": user.email, "password": password})


def _sign_in_by_name(browser: Client, user: User, password: str) -> Any:
    return browser.post("/sign-in", {"login": user.username, "password": password})


def _confirm(browser: Client, _user: User, password: str) -> Any:
    return browser.post("/confirm", {"password": password})


def _change_password(browser: Client, _user: User, password: str) -> Any:
    return browser.post("/account/password", {"current_password": password, "password": NEW})


def _change_address(browser: Client, _user: User, password: str) -> Any:
    form = {"password": password, "email": "other@example.com"}
    return browser.post("/account/email", form)


def _delete(browser: Client, _user: User, password: str) -> Any:
    return browser.post("/account/delete", {"proof": password})


def _delete_by_api(browser: Client, _user: User, password: str) -> Any:
    return call(browser, "DELETE", "me", {"password": password})


def _token(browser: Client, user: User, password: str) -> Any:
    body = json.dumps({"email": user.email, "password": password})
    return browser.post(f"{API}/auth/token", body, content_type="application/json")


# Place -> (how to ask there, status of a wrong password, name of the audit row).
PLACES: dict[str, tuple[Place, int, str]] = {
    "sign-in": (_sign_in, 401, "account:session:start"),
    "sign-in by user name": (_sign_in_by_name, 401, "account:session:start"),
    "confirm": (_confirm, 401, "account:confirm:password"),
    "new password": (_change_password, 400, "account:password:change"),
    "new address": (_change_address, 400, "account:email:change-request"),
    "deletion": (_delete, 400, "account:user:delete"),
    "deletion by API": (_delete_by_api, 401, "account:user:delete"),
    "token": (_token, 401, "account:session:start"),
}


def _state(user: User) -> Any:
    row = User.objects.filter(pk=user.pk).values().get()
    return row, AccountToken.objects.count()


def _refused(action: str) -> int:
    return AuditEvent.objects.filter(action=action, result="refused").count()


@pytest.mark.parametrize("name", PLACES)
def test_the_right_password_is_rejected_after_too_many_guesses(
    viewer: User, browser_of: BrowserOf, settings: Settings, name: str
) -> None:
    ask, wrong, action = PLACES[name]
    browser = browser_of(viewer)
    left = limit_for("sign-in").maximum
    before = _state(viewer)

    guesses = [ask(browser, viewer, f"guess {n}").status_code for n in range(left)]
    late = ask(browser, viewer, PASSWORD)

    # The sign-in of the browser itself was the first one, before it was known.
    assert guesses == [wrong] * left
    assert late.status_code == 429
    assert _refused(action) == left
    assert _state(viewer) == before


@pytest.mark.parametrize("first", PLACES)
def test_all_password_checks_share_one_limit(
    viewer: User, browser_of: BrowserOf, first: str
) -> None:
    browser = browser_of(viewer)
    for n in range(limit_for("sign-in").maximum):
        PLACES[first][0](browser, viewer, f"guess {n}")
    before = _state(viewer)

    late = {
        name: ask(browser, viewer, PASSWORD).status_code for name, (ask, *_more) in PLACES.items()
    }

    assert late == dict.fromkeys(PLACES, 429)
    assert _state(viewer) == before


def test_a_wrong_password_on_a_verification_page_is_counted_and_audited(
    make_user: Callable[..., User], mails: Callable[[], list[Any]]
) -> None:
    user = make_user("viewer", "new@example.com", is_verified=False)
    mail_verification(user, binding="of another browser", language="en")
    path = path_in(mails()[-1])
    elsewhere = Client()
    left = limit_for("sign-in").maximum

    guesses = [elsewhere.post(path, {"password": f"guess {n}"}).status_code for n in range(left)]
    late = elsewhere.post(path, {"password": PASSWORD})
    other = elsewhere.post("/sign-in", {"login": user.email, "password": PASSWORD})

    assert (guesses, late.status_code, other.status_code) == ([400] * left, 429, 429)
    assert _refused("account:email:verify") == left
    user.refresh_from_db()
    assert not user.is_verified


JUDGES = ("check_password", "find_by_password", "find_by_credentials", "verify_second_factor",
          "verify_totp", "consume_code", "matching_step", "verify_password",
          "authenticate_passkey", "require_own_password")  # fmt: skip
# Who judges a secret, and who has counted before: itself, or the page that calls it.
KNOWN = {
    ("accounts/backends.py", "find_by_password"),  # by authenticate(), for those who count first
    ("accounts/models/users.py", "check_password"),
    ("mfa/services/authenticators.py", "matching_step"),
    ("mfa/services/authenticators.py", "consume_code"),
    ("mfa/services/authenticators.py", "verify_totp"),
    ("federation/ldap/backend.py", "verify_password"),
    ("federation/ldap/rehearsal.py", "verify_password"),  # manage.py ldaptest
    ("accounts/services/passwords.py", "check_password"),
    ("accounts/services/passwords.py", "require_own_password"),
    ("accounts/services/privacy.py", "require_own_password"),
    ("accounts/services/sessions.py", "check_password"),
    ("accounts/services/verification.py", "check_password"),
    ("accounts/services/verification.py", "require_own_password"),
    ("accounts/views/passwords.py", "require_own_password"),
    ("mfa/views/reauthenticate.py", "find_by_password"),
    ("accounts/views/login.py", "find_by_credentials"),
    ("mfa/views/passkeys.py", "authenticate_passkey"),
    ("mfa/views/verification.py", "verify_second_factor"),
    ("api/tokens/password_grant.py", "find_by_credentials"),
    ("api/tokens/password_grant.py", "verify_second_factor"),
}


def _calls() -> set[tuple[str, str]]:
    found = set()
    for room in OWN_APPS:
        for path in Path(room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    if name in JUDGES:
                        found.add((str(path), name))
    return found


def test_no_other_module_checks_a_password() -> None:
    """A new one belongs into PLACES, too, or has a test of its own limit."""
    assert _calls() == KNOWN
