"""Passkeys as second factor: after a password, to reauthenticate, and for roles that need one."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from mfa.models import Authenticator
from mfa.services import passkeys
from mfa.webauthn import PasskeyExpired
from tests.conftest import PASSWORD
from tests.mfa.passkeys.conftest import (
    add,
    is_signed_in,
    last_event,
    options_for,
    post,
    problem,
    sign_in,
)
from tests.mfa.passkeys.device import Device

pytestmark = pytest.mark.django_db
START = "account:session:start"


def give_password(client: Client, user: User) -> str:
    """The first factor; where it leads."""
    answer = client.post("/sign-in", {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 302
    return str(answer["Location"])


def give_passkey(client: Client, credential: Any, path: str = "/second-factor") -> Any:
    """The form that the script sends."""
    return client.post(path, {"passkey": json.dumps(credential), "code": ""})


def test_a_passkey_is_asked_for_after_the_password(viewer, device, row, stranger) -> None:
    assert give_password(stranger, viewer) == "/second-factor"
    assert not is_signed_in(stranger)
    options = options_for(stranger, "second-factor")
    assert [each["id"] for each in options["allowCredentials"]] == [row.credential_id]

    answer = give_passkey(stranger, device.get(options))

    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert is_signed_in(stranger)
    assert last_event(START).detail["methods"] == ["passkey", "password"]


def test_a_passkey_alone_is_not_asked_for_more(viewer, device, stranger, settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("viewer",)

    assert sign_in(stranger, device).json() == {"next": "/account/"}


def refused(client: Client, credential: Any, user: User, code: str) -> None:
    answer = give_passkey(client, credential)

    assert answer.status_code == 401
    assert not is_signed_in(client)
    event = last_event(START)
    assert (event.result, event.target_id) == ("refused", user.pk)
    assert event.detail == {"methods": ["passkey"], "reason": code}


def test_the_passkey_of_another_user_is_rejected(
    viewer, editor, device, browser_of, stranger
) -> None:
    other = Device()
    add(browser_of(editor), other)
    give_password(stranger, viewer)

    refused(stranger, other.get(options_for(stranger, "second-factor")), viewer, "passkey_unknown")


def test_a_sign_in_challenge_is_not_accepted_as_second_factor(viewer, device, stranger) -> None:
    credential = device.get(options_for(stranger))
    give_password(stranger, viewer)

    refused(stranger, credential, viewer, "passkey_expired")


def test_the_challenge_of_another_user_is_rejected(
    viewer, editor, device, browser_of, stranger
) -> None:
    add(browser_of(editor), Device())
    give_password(stranger, editor)
    credential = device.get(options_for(stranger, "second-factor"))
    give_password(stranger, viewer)

    refused(stranger, credential, viewer, "passkey_expired")


def test_without_user_verification_it_is_no_second_factor(viewer, device, stranger) -> None:
    device.flags = 0x01
    give_password(stranger, viewer)

    refused(stranger, device.get(options_for(stranger, "second-factor")), viewer, "passkey_invalid")


@pytest.mark.parametrize("text", ["[", "{}", "null", "[" * 5000])
def test_garbage_is_rejected(viewer, device, stranger, text) -> None:
    give_password(stranger, viewer)

    answer = stranger.post("/second-factor", {"passkey": text})

    assert answer.status_code == 401
    assert not is_signed_in(stranger)


@pytest.mark.parametrize("path", ["/account/passkeys/options", "/account/passkeys"])
def test_a_pending_sign_in_cannot_add_a_passkey_instead(viewer, device, stranger, path) -> None:
    give_password(stranger, viewer)

    assert problem(post(stranger, path)) == (401, "not_authenticated")
    assert Authenticator.objects.count() == 1


def test_a_role_that_needs_a_factor_signs_in_after_adding_one(viewer, stranger, settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("viewer",)
    assert give_password(stranger, viewer) == "/second-factor/set-up"
    assert b'data-passkey="add"' in stranger.get("/second-factor/set-up").content

    answer = add(stranger, Device())

    assert (answer.status_code, answer.json()) == (
        201,
        {"next": "/account/recovery-codes?next=%2Faccount%2F"},
    )
    assert is_signed_in(stranger)
    page = stranger.get(answer.json()["next"])
    assert page.content.count(b"<li><code>") == 10


def test_a_factor_added_meanwhile_is_not_bypassed(viewer, stranger, settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("viewer",)
    give_password(stranger, viewer)
    device = Device()
    options = post(stranger, "/account/passkeys/options").json()
    Authenticator.objects.create(user=viewer, kind="totp", name="App")

    body = {"credential": device.create(options), "name": "Mine"}
    answer = post(stranger, "/account/passkeys", body)

    assert problem(answer) == (401, "not_authenticated")
    assert not is_signed_in(stranger)
    assert Authenticator.objects.get().kind == "totp"


def test_a_passkey_reauthenticates(home, device, at_time) -> None:
    at_time(timedelta(minutes=16))
    assert home.get("/account/passkeys/add").status_code == 303
    credential = device.get(options_for(home, "step-up"))

    answer = give_passkey(home, credential, "/confirm?next=/account/passkeys/add")

    assert (answer.status_code, answer["Location"]) == (303, "/account/passkeys/add")
    assert home.get("/account/passkeys/add").status_code == 200


def test_a_sign_in_challenge_does_not_reauthenticate(viewer, home, device, at_time) -> None:
    at_time(timedelta(minutes=16))
    credential = device.get(options_for(home))

    answer = give_passkey(home, credential, "/confirm?next=/account/passkeys/add")

    assert answer.status_code == 401
    assert home.get("/account/passkeys/add").status_code == 303
    event = last_event("account:confirm:passkey")
    assert (event.result, event.target_id, event.detail["reason"]) == (
        "refused",
        viewer.pk,
        "passkey_expired",
    )


def test_a_first_passkey_cannot_be_added_beside_another_factor(viewer, home) -> None:
    session = home.session
    answer = Device().create(passkeys.begin_registration(session, viewer))
    Authenticator.objects.create(user=viewer, kind="totp", name="App")

    with pytest.raises(PasskeyExpired):
        passkeys.add(session, viewer, answer, name="Mine", is_first=True)

    assert Authenticator.objects.get().kind == "totp"
