"""AUTHENTICATION_BACKENDS: whose password it is, and that each backend asks the access policy."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_login_failed
from django.core.checks import run_checks
from django.test import Client

from accounts.backends import AccountBackend
from accounts.models import User
from accounts.services.credentials import find_by_credentials
from tests.conftest import PASSWORD, MakeUser

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("field", ["login", "username", "email"])
def test_email_or_user_name_with_the_password_authenticates(viewer: User, field: str) -> None:
    for name in (viewer.email, viewer.username):
        assert authenticate(None, **{field: name}, password=PASSWORD) == viewer
        assert authenticate(None, **{field: name}, password="another phrase") is None


def test_a_denied_user_is_not_authenticated(viewer: User, make_user: MakeUser, rf: Any) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)

    assert authenticate(None, login=viewer.email, password=PASSWORD) is None
    # The sign-in page finds the account, and tells its owner why it is denied.
    found = find_by_credentials(rf.post("/sign-in"), viewer.email, PASSWORD)
    assert found is not None
    assert (found.user, found.method) == (viewer, "password")


def test_the_signal_of_failed_attempts_contains_no_password(viewer: User, rf: Any) -> None:
    heard: list[dict[str, Any]] = []

    def hear(**details: Any) -> None:
        heard.append(details)

    request = rf.post("/sign-in")
    user_login_failed.connect(hear)
    try:
        assert find_by_credentials(request, viewer.email, "another phrase") is None
    finally:
        user_login_failed.disconnect(hear)

    (details,) = heard
    assert details["request"] is request
    assert "another phrase" not in str(details["credentials"])


@pytest.mark.parametrize(
    ("path", "faults"),
    [
        ("accounts.backends.PasswordBackend", []),
        ("django.contrib.auth.backends.ModelBackend", ["accounts.E001"]),
    ],
)
def test_a_backend_that_does_not_ask_the_access_policy_stops_the_start(
    settings: Any, path: str, faults: list[str]
) -> None:
    settings.AUTHENTICATION_BACKENDS = [path]

    found = run_checks(tags=["security"])

    assert [fault.id for fault in found if fault.id == "accounts.E001"] == faults


class OldAppBackend(AccountBackend):
    """As in docs/build-on.md."""

    def find_user(self, request: Any, login: str, password: str) -> User | None:
        user = User.objects.filter(email=login).first()
        return user if user and password == "of the old app" else None


def test_a_custom_backend_signs_in_only_allowed_users(
    settings: Any, viewer: User, client: Client
) -> None:
    settings.AUTHENTICATION_BACKENDS = [
        "accounts.backends.PasswordBackend",
        f"{__name__}.OldAppBackend",
    ]
    form = {"login": viewer.email, "password": "of the old app"}

    assert client.post("/sign-in", form).status_code == 302
    assert client.get("/account/").status_code == 200
    assert [fault.id for fault in run_checks(tags=["security"])].count("accounts.E001") == 0
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert client.get("/account/").status_code == 302
    assert Client().post("/sign-in", form | {"password": "x"}).status_code == 401
    browser = Client()
    browser.post("/sign-in", form)
    assert browser.get("/account/").status_code == 302
