"""Fixtures of the tests of passkeys: browsers that send JSON, and users with a passkey."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from mfa.models import Authenticator
from tests.mfa.passkeys.device import Device


def post(client: Client, path: str, body: Any = None) -> Any:
    """POST `body` as JSON, as the script does."""
    return client.post(
        path, body or {}, content_type="application/json", headers={"accept": "application/json"}
    )


def problem(answer: Any) -> tuple[int, str]:
    """(status, code) of a refusal, which is a problem document."""
    assert answer["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def options_for(client: Client, purpose: str = "sign-in") -> dict[str, Any]:
    answer = post(client, "/sign-in/passkey/options", {"purpose": purpose})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def sign_in(client: Client, device: Device, **changes: str) -> Any:
    """The whole way of the button on the sign-in page."""
    credential = device.get(options_for(client), **changes)
    return post(client, "/sign-in/passkey", {"credential": credential})


def add(client: Client, device: Device, name: str = "My laptop") -> Any:
    """The whole way of the page that adds a passkey."""
    options = post(client, "/account/passkeys/options")
    assert options.status_code == 200, options.content
    body = {"credential": device.create(options.json()), "name": name}
    return post(client, "/account/passkeys", body)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def last_event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("seq")


@pytest.fixture
def home(viewer: User, browser_of: Callable[[User], Client]) -> Client:
    """The browser of `viewer`, signed in by password before she has a passkey."""
    return browser_of(viewer)


@pytest.fixture
def device(home: Client) -> Device:
    """A passkey of `viewer`, added on her account page."""
    made = Device()
    assert add(home, made).status_code == 201
    return made


@pytest.fixture
def row(device: Device) -> Authenticator:
    """What is stored of `device`."""
    return Authenticator.objects.get()
