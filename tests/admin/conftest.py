"""Shared by tests of the admin: a browser by role, and filled-in forms."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from tests.conftest import messages_of

LIST = "/admin/accounts/user/"
MakeUser = Callable[..., User]
BrowserOf = Callable[..., Client]


def page_of(user: User, name: str = "change") -> str:
    """Address of a page or button of one person."""
    return f"{LIST}{user.pk}/{name}/"


def edited(user: User, **changes: Any) -> dict[str, Any]:
    """The edit form as the page shows it, with some fields typed over."""
    shown = {
        "email": user.email,
        "name": user.name,
        "username": user.username or "",
        "role": user.role,
    }
    return shown | changes


def bulk(client: Client, action: str, people: list[User], **more: Any) -> HttpResponse:
    """Tick people in the list and run an action; confirmed="yes" answers its page in between."""
    ticked = {"action": action, "_selected_action": [str(user.pk) for user in people]}
    return client.post(LIST, ticked | ({} if "confirmed" in more else {"index": "0"}) | more)


def notices(client: Client) -> list[str]:
    """The messages that the next page of the panel shows."""
    return messages_of(client.get(LIST))


@pytest.fixture
def as_role(make_user: MakeUser, browser_of: BrowserOf) -> Callable[[str], tuple[Client, User]]:
    """as_role("admin") -> (signed-in browser, its user); "stranger" has an unsaved user."""

    def enter(role: str) -> tuple[Client, User]:
        if role == "stranger":
            return Client(), User(email="stranger@example.com")
        administrator = make_user(role, f"operator-{role}@example.com")
        return browser_of(administrator), administrator

    return enter
