"""A form reports all its errors at once.

What the API does is in tests/api; what may not be told before a secret is right is here, too.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AccountToken, User
from accounts.services.first_run import ensure_owner, issue_setup_link
from api.models import ApiKey
from audit.models import AuditEvent
from moderation.models import Ban
from tests.api.keys import call_with, made
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
NOT_YOURS = "This is not your password."
SHORT = "Use at least 15 characters."
GUESSED = "This password is easy to guess"
OWN_NAME = "This password is too similar to your name"
STRONG = "seven quiet rivers under glass"
AWAY = {"REMOTE_ADDR": "203.0.113.9", "headers": {"host": "gate.example.com"}}


def faults(answer: Any) -> dict[str, str]:
    """What the page says beside each field."""
    form = answer.context["form"]
    return {name: " ".join(str(text) for text in texts) for name, texts in form.errors.items()}


def refused(action: str) -> int:
    return AuditEvent.objects.filter(action=action, result="refused").count()


@pytest.mark.parametrize(("new", "said"), [("short", SHORT), ("vera vera viewer vera", OWN_NAME)])
def test_a_wrong_password_and_a_weak_new_one_are_reported_together(
    viewer: User, browser_of: BrowserOf, new: str, said: str
) -> None:
    browser = browser_of(viewer)

    answer = browser.post("/account/password", {"current_password": "wrong", "password": new})

    found = faults(answer)
    assert answer.status_code == 400
    assert set(found) == {"current_password", "password"}
    assert found["current_password"] == NOT_YOURS
    assert said in found["password"]
    assert refused("account:password:change") == 1


def test_a_right_password_with_a_weak_new_one_is_no_failed_attempt(
    viewer: User, browser_of: BrowserOf
) -> None:
    answer = browser_of(viewer).post(
        "/account/password", {"current_password": PASSWORD, "password": "short"}
    )

    assert set(faults(answer)) == {"password"}
    assert refused("account:password:change") == 0


def test_guesses_with_a_weak_new_password_are_counted(viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(viewer)
    form = {"current_password": "wrong", "password": "short"}
    statuses = [browser.post("/account/password", form).status_code for _turn in range(12)]

    assert statuses[-1] == 429
    judged = statuses.count(400)
    assert refused("account:password:change") == judged
    right = {"current_password": PASSWORD, "password": "short"}
    assert browser.post("/account/password", right).status_code == 429


@pytest.mark.parametrize(
    ("email", "said"),
    [
        ("nonsense", "Enter one email address"),
        ("viewer@example.com", "This is your address already."),
    ],
)
def test_a_wrong_password_and_a_wrong_address_are_reported_together(
    viewer: User, browser_of: BrowserOf, email: str, said: str
) -> None:
    answer = browser_of(viewer).post("/account/email", {"email": email, "password": "wrong"})

    found = faults(answer)
    assert set(found) == {"email", "password"}
    assert found["password"] == NOT_YOURS
    assert said in found["email"]
    assert refused("account:email:change-request") == 1


def test_a_taken_address_is_never_revealed(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)

    wrong = browser.post("/account/email", {"email": editor.email, "password": "wrong"})
    right = browser.post("/account/email", {"email": editor.email, "password": PASSWORD})

    assert set(faults(wrong)) == {"password"}
    assert right.status_code == 200
    assert not AccountToken.objects.filter(user=viewer, purpose="change-email").exists()


@pytest.mark.parametrize("password", ["short", "nina nina nina nina"])
def test_a_wrong_set_up_code_and_a_weak_password_are_reported_together(password: str) -> None:
    issue_setup_link(ensure_owner())
    form = {"email": "nina@example.com", "name": "Nina", "password": password, "setup_code": "x"}

    answer = Client().post("/sign-up", form, REMOTE_ADDR="203.0.113.9")

    found = faults(answer)
    assert set(found) == {"setup_code", "password"}
    assert "not the set-up code" in found["setup_code"]
    assert refused("account:user:first-sign-up") == 1
    assert not User.objects.filter(email="nina@example.com").exists()


def test_guesses_at_the_set_up_code_are_counted_with_other_errors() -> None:
    issue_setup_link(ensure_owner())
    form = {"email": "nonsense", "name": "", "password": "short", "setup_code": "x"}

    statuses = [
        Client().post("/sign-up", form, REMOTE_ADDR="203.0.113.9").status_code
        for _turn in range(40)
    ]

    # What goes on after the limit is a violation, and bans the network in the end.
    judged = statuses.index(429)
    assert set(statuses[:judged]) == {400}
    assert 400 not in statuses[judged:]
    assert refused("account:user:first-sign-up") == judged


def test_the_set_up_page_reports_a_taken_address_and_a_weak_password(
    viewer: User, stranger: Client
) -> None:
    issued = issue_setup_link(ensure_owner())
    assert issued is not None
    path = issued.url.removeprefix("http://localhost:8000")

    answer = stranger.post(path, {"email": viewer.email, "name": "", "password": "short"})

    assert set(faults(answer)) == {"email", "password"}


def test_the_profile_reports_a_taken_user_name_and_a_long_name(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(editor)

    answer = browser.post("/account/", {"name": "n" * 151, "username": "vera"})

    assert set(faults(answer)) == {"name", "username"}
    editor.refresh_from_db()
    assert (editor.name, editor.username) == ("Edgar Editor", None)


def test_a_new_key_reports_networks_expiry_and_missing_name(
    viewer: User, browser_of: BrowserOf
) -> None:
    fields = {"name": "", "scopes": ["read"], "life": "date", "date": "2020-01-01"}

    answer = browser_of(viewer).post("/account/keys", fields | {"networks": "nonsense"})

    assert set(faults(answer)) == {"name", "date", "networks"}
    assert not ApiKey.objects.exists()


def test_an_invitation_reports_address_and_role(
    owner: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)
    path = "/admin/accounts/invitation/add/"

    for email in ("nonsense", viewer.email):
        answer = browser.post(path, {"email": email, "name": "", "role": "king", "days": "7"})
        assert set(faults(answer)) == {"email", "role"}


def test_a_new_account_in_the_admin_reports_taken_names_and_role(
    owner: User, viewer: User, browser_of: BrowserOf
) -> None:
    form = {"email": viewer.email, "name": "", "username": "vera", "role": "king"}

    answer = browser_of(owner).post("/admin/accounts/user/add/", form)

    found = answer.context["adminform"].form.errors
    assert set(found) == {"email", "username", "role"}


def test_a_changed_account_in_the_admin_reports_taken_names_and_role(
    owner: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    form = {"email": editor.email, "name": "", "username": "", "role": "king"}

    answer = browser_of(owner).post(f"/admin/accounts/user/{viewer.pk}/change/", form)

    assert set(answer.context["adminform"].form.errors) == {"email", "role"}
    viewer.refresh_from_db()
    assert viewer.email == "viewer@example.com"


def test_a_ban_in_the_admin_reports_own_network_and_missing_reason(
    owner: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(owner)
    form = {"user": "nobody", "network": "203.0.113.9", "duration": "1h", "reason": ""}

    answer = browser.post("/admin/moderation/ban/add/", form, REMOTE_ADDR="203.0.113.9")

    assert set(faults(answer)) == {"user", "network", "reason"}
    assert not Ban.objects.exists()


def test_a_rule_in_the_admin_reports_all_fields(owner: User, browser_of: BrowserOf) -> None:
    form = {"name": "", "effect": "king", "host": "a/b", "path": "x", "networks": "nonsense"}

    answer = browser_of(owner).post("/admin/forward_auth/accessrule/add/", form)

    found = answer.context["adminform"].form.errors
    assert {"name", "effect", "host", "path", "networks"} <= set(found)


def test_the_api_reports_all_errors_of_a_ban(owner: User) -> None:
    key = made(owner, scopes=["moderation"]).text
    body = {"user": "nobody@example.com", "network": "nonsense", "duration": 10**12}

    missing = call_with(key, "POST", "moderation/bans", body)
    whole = call_with(key, "POST", "moderation/bans", body | {"reason": "Spam", "duration": 60})

    assert (missing.status_code, whole.status_code) == (402, 402)
    assert {"user", "network", "reason"} <= set(missing.json()["errors"])
    assert set(whole.json()["errors"]) == {"user", "network"}
    assert not Ban.objects.exists()


def test_the_api_reports_taken_names_and_a_verification_that_cannot_be_undone(
    owner: User, viewer: User, editor: User
) -> None:
    key = made(owner, scopes=["users"]).text
    body = {"email": editor.email, "username": "x y", "is_verified": False}

    answer = call_with(key, "PATCH", f"users/{viewer.pk}", body)

    assert answer.status_code == 402
    assert set(answer.json()["errors"]) == {"email", "username", "is_verified"}
    viewer.refresh_from_db()
    assert (viewer.email, viewer.is_verified) == ("viewer@example.com", True)


def test_the_api_reveals_no_names_if_the_rank_is_too_low(
    admin: User, owner: User, editor: User
) -> None:
    key = made(admin, scopes=["users"]).text

    answer = call_with(
        key, "PATCH", f"users/{owner.pk}", {"email": editor.email, "is_verified": False}
    )

    assert answer.status_code == 403


def test_a_new_authenticator_reports_a_wrong_code_and_a_long_name(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)
    browser.get("/account/authenticator/set-up")

    answer = browser.post("/account/authenticator/set-up", {"code": "000000", "name": "n" * 81})

    assert set(faults(answer)) == {"code", "name"}
    assert refused("account:factor:add") == 1
    assert not viewer.authenticators.exists()


def test_guesses_at_the_code_of_a_new_authenticator_are_counted(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)
    form = {"code": "000000", "name": "n" * 81}

    statuses = [
        browser.post("/account/authenticator/set-up", form).status_code for _turn in range(12)
    ]

    assert statuses[-1] == 429
    assert refused("account:factor:add") == statuses.count(400)
