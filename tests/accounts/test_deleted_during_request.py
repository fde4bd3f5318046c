"""An account is deleted while its user sends a request."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import delete_user, edit_profile
from audit.models import AuditEvent
from tests.api.keys import made

pytestmark = pytest.mark.django_db
PROFILE = {"name": "Vera", "username": "vera"}


@pytest.fixture
def deleted_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at who asks and the act another process deletes the account."""

    def too_late(*, user: User, **fields: Any) -> User:
        delete_user(actor=SYSTEM, user=User.objects.get(pk=user.pk))
        return edit_profile(user=user, **fields)

    for view in ("accounts.views.account", "api.views.me"):
        monkeypatch.setattr(f"{view}.edit_profile", too_late)


@pytest.mark.usefixtures("deleted_meanwhile")
def test_a_page_answers_as_to_an_anonymous_client(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(viewer)
    answer = browser.post("/account/", PROFILE)

    assert answer.status_code == 401
    assert "Please sign in." in answer.content.decode()
    assert browser.get("/account/").status_code == 302
    _nothing_is_left(viewer)


@pytest.mark.usefixtures("deleted_meanwhile")
def test_the_api_answers_as_to_an_anonymous_client(editor: User) -> None:
    headers = {"x-api-key": made(editor, scopes=("read", "write")).text}
    answer = Client(headers=headers).patch("/api/v1/me", PROFILE, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    _nothing_is_left(editor)


def test_an_unrelated_error_is_not_hidden(
    viewer: User, browser_of: Callable[[User], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_fields: Any) -> None:
        raise OperationalError("no such table")

    monkeypatch.setattr("accounts.views.account.edit_profile", broken)
    browser = browser_of(viewer)
    browser.raise_request_exception = False

    assert browser.post("/account/", PROFILE).status_code == 500


def _nothing_is_left(user: User) -> None:
    assert not User.all_objects.filter(pk=user.pk).exists()
    assert not AuditEvent.objects.filter(action="account:user:edit").exists()
