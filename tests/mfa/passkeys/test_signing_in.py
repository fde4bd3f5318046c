"""Sign-in with a passkey alone: what is accepted, and what is rejected."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.access_policy import DenialReason
from accounts.models import User
from mfa.models import Authenticator
from moderation.models import Ban
from tests.mfa.passkeys.conftest import (
    add,
    is_signed_in,
    last_event,
    options_for,
    post,
    problem,
    sign_in,
)
from tests.mfa.passkeys.device import Device, to_text

pytestmark = pytest.mark.django_db
START = "account:session:start"


def refused(answer, client: Client, code: str, *, status: int = 401, target: User | None) -> None:
    """Exactly this status and code, no session, and one audit row about `target`."""
    assert problem(answer) == (status, code)
    assert not is_signed_in(client)
    event = last_event(START)
    assert (event.result, event.target_id) == ("refused", target.pk if target else None)
    assert event.detail == {"methods": ["passkey"], "reason": code}


def test_a_passkey_alone_signs_in(viewer, device, row, stranger) -> None:
    answer = sign_in(stranger, device)

    assert (answer.status_code, answer.json()) == (200, {"next": "/account/"})
    assert "gatehouse_device" in answer.cookies
    assert stranger.get("/account/").status_code == 200
    event = last_event(START)
    assert (event.result, event.actor_id, event.detail) == (
        "success",
        viewer.pk,
        {"methods": ["passkey"]},
    )
    row.refresh_from_db()
    assert row.sign_count == 1
    assert row.last_used_at is not None


def test_no_login_is_asked_and_no_user_is_revealed(device, stranger) -> None:
    options = options_for(stranger)

    assert options["rpId"] == "localhost"
    assert options["userVerification"] == "required"
    assert "allowCredentials" not in options


def test_next_redirects_only_on_the_own_host(device, stranger) -> None:
    credential = device.get(options_for(stranger))
    own = post(stranger, "/sign-in/passkey?next=/account/password", {"credential": credential})
    credential = device.get(options_for(stranger))
    foreign = post(stranger, "/sign-in/passkey?next=//evil.example", {"credential": credential})

    assert own.json() == {"next": "/account/password"}
    assert foreign.json() == {"next": "/account/"}


def test_the_session_key_is_new(device, stranger) -> None:
    options_for(stranger)
    before = stranger.cookies["gatehouse_session"].value

    sign_in(stranger, device)

    assert stranger.cookies["gatehouse_session"].value != before


CHEATS = {
    "another origin": {"origin": "http://localhost:8001"},
    "https": {"origin": "https://localhost:8000"},
    "a name that begins alike": {"origin": "http://localhost:8000.evil.example"},
    "another host": {"host": "example.com"},
    "nobody verified": {"flags": 0x01},
    "nobody present": {"flags": 0x04},
    "inside a frame": {"frame": {"crossOrigin": True}},
    "a frame that hides it": {"frame": {"crossOrigin": "false"}},
}


@pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
def test_an_invalid_assertion_is_rejected(viewer, device, stranger, cheat) -> None:
    for name, value in cheat.items():
        setattr(device, name, value)

    answer = sign_in(stranger, device)

    refused(answer, stranger, "passkey_invalid", target=viewer)


def test_the_signature_of_another_key_is_rejected(viewer, device, stranger) -> None:
    other = Device(credential_id=device.credential_id, handle=device.handle)

    refused(sign_in(stranger, other), stranger, "passkey_invalid", target=viewer)


def test_a_registration_is_not_accepted_as_sign_in(viewer, device, stranger) -> None:
    options = options_for(stranger)
    credential = device.get(options)
    made = device._client_data("webauthn.create", options["challenge"])
    credential["response"]["clientDataJSON"] = to_text(made)

    answer = post(stranger, "/sign-in/passkey", {"credential": credential})

    refused(answer, stranger, "passkey_invalid", target=viewer)


@pytest.mark.parametrize("handle", ["", to_text(b"somebody else...")])
def test_the_passkey_must_name_its_account(viewer, device, stranger, handle) -> None:
    answer = sign_in(stranger, device, userHandle=handle)

    refused(answer, stranger, "passkey_invalid", target=viewer)


def test_an_assertion_without_a_user_handle_is_rejected(viewer, device, stranger) -> None:
    credential = device.get(options_for(stranger))
    del credential["response"]["userHandle"]

    answer = post(stranger, "/sign-in/passkey", {"credential": credential})

    refused(answer, stranger, "passkey_invalid", target=viewer)


def test_the_user_handle_of_another_user_is_rejected(viewer, owner, device, stranger) -> None:
    answer = sign_in(stranger, device, userHandle=to_text(owner.pk.bytes))

    refused(answer, stranger, "passkey_invalid", target=viewer)


def test_an_answer_works_once(viewer, device, stranger) -> None:
    credential = device.get(options_for(stranger))
    assert post(stranger, "/sign-in/passkey", {"credential": credential}).status_code == 200
    stranger.post("/sign-out")

    answer = post(stranger, "/sign-in/passkey", {"credential": credential})

    refused(answer, stranger, "passkey_expired", target=viewer)


def test_a_device_without_a_counter_cannot_be_replayed_either(viewer, browser_of, stranger) -> None:
    device = Device(step=0)
    add(browser_of(viewer), device)
    credential = device.get(options_for(stranger))
    copy = Client(headers={"host": "localhost:8000"})
    copy.cookies["gatehouse_session"] = stranger.cookies["gatehouse_session"].value
    assert post(stranger, "/sign-in/passkey", {"credential": credential}).status_code == 200

    refused(
        post(copy, "/sign-in/passkey", {"credential": credential}),
        copy,
        "passkey_expired",
        target=viewer,
    )
    assert sign_in(stranger, device).status_code == 200


def test_two_assertions_with_one_challenge_sign_in_once(viewer, device, stranger) -> None:
    credential = device.get(options_for(stranger))
    asked = dict(stranger.session.items())
    assert post(stranger, "/sign-in/passkey", {"credential": credential}).status_code == 200
    # As a request that had read its session before the first one wrote it.
    late = Client(headers={"host": "localhost:8000"})
    session = late.session
    session.update(asked)
    session.save()
    Authenticator.objects.update(sign_count=0)

    answer = post(late, "/sign-in/passkey", {"credential": credential})

    refused(answer, late, "passkey_expired", target=viewer)


def test_the_challenge_of_another_browser_is_rejected(viewer, device, stranger) -> None:
    credential = device.get(options_for(Client(headers={"host": "localhost:8000"})))

    answer = post(stranger, "/sign-in/passkey", {"credential": credential})

    refused(answer, stranger, "passkey_expired", target=viewer)


def test_a_challenge_for_another_purpose_is_rejected(home, device) -> None:
    credential = device.get(options_for(home, "step-up"))

    answer = post(home, "/sign-in/passkey", {"credential": credential})

    assert problem(answer) == (401, "passkey_expired")
    assert last_event(START).detail == {"methods": ["passkey"], "reason": "passkey_expired"}


def test_a_challenge_expires_after_five_minutes(viewer, device, stranger, at_time) -> None:
    credential = device.get(options_for(stranger))
    at_time(timedelta(minutes=5, seconds=1))

    answer = post(stranger, "/sign-in/passkey", {"credential": credential})

    refused(answer, stranger, "passkey_expired", target=viewer)


def test_several_tabs_can_have_challenges(device, stranger) -> None:
    first = options_for(stranger)
    options_for(stranger)

    answer = post(stranger, "/sign-in/passkey", {"credential": device.get(first)})

    assert answer.status_code == 200


def test_a_cloned_device_is_rejected(viewer, device, stranger) -> None:
    sign_in(stranger, device)
    stranger.post("/sign-out")
    device.count -= 1

    answer = sign_in(stranger, device)

    refused(answer, stranger, "passkey_copied", target=viewer)


def test_a_device_that_stops_counting_is_rejected(viewer, device, stranger) -> None:
    sign_in(stranger, device)
    stranger.post("/sign-out")
    device.count, device.step = 0, 0

    refused(sign_in(stranger, device), stranger, "passkey_copied", target=viewer)


def test_an_unknown_passkey_is_rejected(stranger, db) -> None:
    refused(sign_in(stranger, Device(handle=b"x" * 16)), stranger, "passkey_unknown", target=None)


def test_a_removed_passkey_is_rejected(home, device, row, stranger) -> None:
    home.post(f"/account/passkeys/{row.pk}/remove", {})

    refused(sign_in(stranger, device), stranger, "passkey_unknown", target=None)


def test_a_disabled_user_is_denied(viewer, device, stranger) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)

    answer = sign_in(stranger, device)

    refused(answer, stranger, "account_disabled", status=403, target=viewer)


def test_a_banned_user_is_denied(viewer, device, stranger) -> None:
    Ban.objects.create(user=viewer, kind=Ban.Kind.MANUAL, reason="spam")

    answer = sign_in(stranger, device)

    refused(answer, stranger, "banned", status=403, target=viewer)


def test_a_banned_network_gets_no_challenge(device, stranger, monkeypatch, settings) -> None:
    settings.CLIENT_CHECKS = ["tests.mfa.passkeys.test_signing_in.closed"]

    answer = post(stranger, "/sign-in/passkey/options", {"purpose": "sign-in"})

    assert problem(answer) == (403, "banned")
    assert problem(post(stranger, "/sign-in/passkey", {})) == (403, "banned")


def closed(_ip: str) -> DenialReason:
    """A client check that denies everyone."""
    return DenialReason("banned", "Sign-in from your network is closed.", timezone.now())


def test_an_unverified_address_must_be_verified_first(viewer, device, stranger, mails) -> None:
    User.objects.filter(pk=viewer.pk).update(email_verified_at=None)

    answer = sign_in(stranger, device)

    assert problem(answer) == (403, "email_unverified")
    assert not is_signed_in(stranger)


def test_attempts_are_limited_separately_from_passwords(viewer, device, stranger, settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "passkey": (5, timedelta(minutes=5))}
    for _try in range(5):
        assert problem(post(stranger, "/sign-in/passkey", {}))[0] == 401

    answer = sign_in(stranger, device)

    assert problem(answer) == (429, "rate_limited")
    assert int(answer["Retry-After"]) > 0
    assert not is_signed_in(stranger)
    assert (
        stranger.post(
            "/sign-in", {"login": viewer.email, "password": "correct horse battery staple"}
        ).status_code
        == 302
    )


def test_challenges_are_limited(stranger, db, settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "passkey-options": (5, timedelta(minutes=5))}
    for _look in range(5):
        options_for(stranger)

    answer = post(stranger, "/sign-in/passkey/options", {"purpose": "sign-in"})

    assert problem(answer) == (429, "rate_limited")


def test_a_passkey_sign_in_has_no_second_stage(stranger, db) -> None:
    answer = post(stranger, "/sign-in/passkey/options", {"purpose": "second-factor"})

    assert problem(answer) == (401, "passkey_expired")


def test_reauthentication_needs_a_session(stranger, db) -> None:
    answer = post(stranger, "/sign-in/passkey/options", {"purpose": "step-up"})

    assert problem(answer) == (401, "not_authenticated")


@pytest.mark.parametrize("purpose", [None, "", "add", 7, ["sign-in"]])
def test_an_unknown_purpose_is_refused(stranger, db, purpose) -> None:
    answer = post(stranger, "/sign-in/passkey/options", {"purpose": purpose})

    assert problem(answer) == (401, "passkey_invalid")


def test_responses_are_not_cached(stranger, db) -> None:
    answer = post(stranger, "/sign-in/passkey/options", {"purpose": "sign-in"})

    assert "no-store" in answer["Cache-Control"]


def test_no_passkey_is_logged(browser_of, viewer, stranger, caplog) -> None:
    caplog.set_level("DEBUG")
    device = Device()
    add(browser_of(viewer), device)

    assert sign_in(stranger, device).status_code == 200

    assert device.credential_id.hex() not in caplog.text
    assert to_text(device.credential_id) not in caplog.text
