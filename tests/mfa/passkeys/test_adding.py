"""Adding, renaming and removing passkeys on the account page."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.http import urlencode

from accounts.models import BrowserSession
from mail.conf import MailSettings
from mfa.models import Authenticator
from mfa.services import passkeys
from tests.conftest import text_of
from tests.mfa.passkeys.conftest import add, is_signed_in, last_event, post, problem, sign_in
from tests.mfa.passkeys.device import AAGUID, ATTESTED, VERIFIED, Device, to_bytes, to_text

pytestmark = pytest.mark.django_db
OPTIONS, ADD = "/account/passkeys/options", "/account/passkeys"


def test_options_ask_for_a_passkey_that_can_be_the_only_factor(viewer, browser_of) -> None:
    options = post(browser_of(viewer), OPTIONS).json()

    assert options["rp"] == {"id": "localhost", "name": "Gatehouse"}
    assert to_bytes(options["user"]["id"]) == viewer.pk.bytes
    assert options["user"]["name"] == viewer.email
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert [each["alg"] for each in options["pubKeyCredParams"]] == [-7, -8, -257]
    assert len(to_bytes(options["challenge"])) == 32
    assert options["timeout"] == 300_000


def test_a_passkey_is_stored_mailed_and_audited(viewer, browser_of, mails) -> None:
    device = Device()

    answer = add(browser_of(viewer), device, "  Work \n laptop ")

    row = Authenticator.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": str(row.pk),
        "name": "Work laptop",
        "next": f"/account/recovery-codes?{urlencode({'next': '/account/?notice=passkey-added'})}",
    }
    assert (row.user_id, row.kind, row.name) == (viewer.pk, "passkey", "Work laptop")
    assert row.credential_id == to_text(device.credential_id)
    assert row.credential["transports"] == ["internal"]
    assert row.credential["aaguid"].replace("-", "") == AAGUID.hex()
    assert row.credential["is_backed_up"] is False
    assert [mail.kind for mail in mails()] == ["passkey-added", "recovery-codes-made"]
    assert "Work laptop" in text_of(mails()[0])
    event = last_event("account:passkey:add")
    assert (event.result, event.actor_id, event.detail) == (
        "success",
        viewer.pk,
        {"passkey": str(row.pk)},
    )


def test_recovery_codes_come_with_the_first_passkey_and_go_with_the_last(
    viewer, browser_of
) -> None:
    client = browser_of(viewer)

    first, second = add(client, Device()).json(), add(client, Device()).json()

    assert client.get(first["next"]).content.count(b"<li><code>") == 10
    assert second["next"] == "/account/?notice=passkey-added"
    assert client.get(first["next"]).content.count(b"<li><code>") == 0
    assert viewer.recovery_codes.count() == 10
    client.post(f"/account/passkeys/{first['id']}/remove", {})
    assert viewer.recovery_codes.count() == 10
    client.post(f"/account/passkeys/{second['id']}/remove", {})
    assert viewer.recovery_codes.count() == 0


def test_a_role_that_needs_a_factor_cannot_remove_the_last(home, row, settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("viewer",)
    client = home

    answer = client.post(f"/account/passkeys/{row.pk}/remove", {})

    assert answer.status_code == 400
    assert b"Your role requires a second factor." in answer.content
    assert Authenticator.objects.count() == 1


def test_the_next_passkey_excludes_the_first(viewer, browser_of) -> None:
    client, device = browser_of(viewer), Device()
    add(client, device)

    options = post(client, OPTIONS).json()

    assert options["excludeCredentials"] == [
        {"type": "public-key", "id": to_text(device.credential_id), "transports": ["internal"]}
    ]


CHEATS = {
    "another origin": {"origin": "http://localhost:8001"},
    "an origin below": {"origin": "http://evil.localhost:8000"},
    "another host": {"host": "example.com"},
    "nobody verified": {"flags": 0x01},
    "nobody present": {"flags": VERIFIED},
    "inside a frame": {"frame": {"crossOrigin": True}},
    "a frame's parent": {"frame": {"crossOrigin": False, "topOrigin": "https://evil.example"}},
    "an over-long name": {"credential_id": b"x" * 1024},
    "no name": {"credential_id": b""},
}


@pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
def test_a_wrong_registration_is_refused(viewer, browser_of, cheat, mails) -> None:
    answer = add(browser_of(viewer), Device(**cheat))

    assert problem(answer) == (401, "passkey_invalid")
    assert Authenticator.objects.count() == 0
    assert mails() == []
    event = last_event("account:passkey:add")
    assert (event.result, event.detail) == ("refused", {"reason": "passkey_invalid"})


def test_a_registration_works_once(viewer, browser_of) -> None:
    client, device = browser_of(viewer), Device()
    body = {"credential": device.create(post(client, OPTIONS).json()), "name": "One"}
    assert post(client, ADD, body).status_code == 201

    assert problem(post(client, ADD, body)) == (401, "passkey_expired")
    assert Authenticator.objects.count() == 1


def test_a_registration_works_only_for_its_user(viewer, editor, browser_of) -> None:
    options = post(browser_of(viewer), OPTIONS).json()
    other = browser_of(editor)

    answer = post(other, ADD, {"credential": Device().create(options), "name": "Stolen"})

    assert problem(answer) == (401, "passkey_expired")
    assert Authenticator.objects.count() == 0


def test_a_sign_in_challenge_is_not_accepted_for_adding(viewer, browser_of) -> None:
    client, device = browser_of(viewer), Device()
    own = post(client, OPTIONS).json()
    asked = post(client, "/sign-in/passkey/options", {"purpose": "sign-in"}).json()

    answer = post(
        client,
        ADD,
        {"credential": device.create({**own, "challenge": asked["challenge"]}), "name": "x"},
    )

    assert problem(answer) == (401, "passkey_expired")


def test_a_challenge_expires_after_five_minutes(viewer, browser_of, at_time) -> None:
    client = browser_of(viewer)
    options = post(client, OPTIONS).json()
    at_time(timedelta(minutes=5, seconds=1))

    answer = post(client, ADD, {"credential": Device().create(options), "name": "Late"})

    assert problem(answer) == (401, "passkey_expired")


def test_the_passkey_of_another_user_cannot_be_added(viewer, editor, browser_of) -> None:
    device = Device()
    add(browser_of(viewer), device)

    answer = add(browser_of(editor), device)

    assert problem(answer) == (401, "passkey_invalid")
    assert Authenticator.objects.get().user_id == viewer.pk


def test_a_21st_passkey_is_rejected(viewer, browser_of) -> None:
    client = browser_of(viewer)
    options = post(client, OPTIONS).json()
    Authenticator.objects.bulk_create(
        Authenticator(
            user=viewer,
            kind="passkey",
            name=str(number),
            credential_id=f"id{number}",
            credential={"public_key": "", "transports": [], "aaguid": ""},
        )
        for number in range(20)
    )

    late = post(client, ADD, {"credential": Device().create(options), "name": "x"})

    assert problem(late) == (403, "too_many_passkeys")
    assert problem(post(client, OPTIONS)) == (403, "too_many_passkeys")
    assert Authenticator.objects.count() == 20


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, 7, None])
def test_a_passkey_needs_a_name(viewer, browser_of, name, settings) -> None:
    answer = add(browser_of(viewer), Device(), name)

    assert problem(answer) == (settings.API_RECORD_INVALID_STATUS, "record_invalid")
    assert Authenticator.objects.count() == 0


GARBAGE = [
    None,
    7,
    [],
    "text",
    {},
    {"id": "a", "rawId": "a", "response": {}},
    {"id": "a", "rawId": "a", "response": {"clientDataJSON": "W10", "attestationObject": "oA"}},
    {"rawId": "AA", "response": {"clientDataJSON": "bnVsbA", "attestationObject": "gYGBgYGB"}},
    {"rawId": "AA", "response": {"clientDataJSON": "e30", "authenticatorData": "AA"}},
    {"rawId": "ä", "response": {"clientDataJSON": "e30", "attestationObject": "v" * 9000}},
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_rejected_by_both_endpoints(viewer, browser_of, garbage) -> None:
    client = browser_of(viewer)

    assert problem(post(client, ADD, {"credential": garbage, "name": "x"})) == (
        401,
        "passkey_invalid",
    )
    assert problem(post(client, "/sign-in/passkey", {"credential": garbage})) == (
        401,
        "passkey_invalid",
    )


@pytest.mark.parametrize("body", ["", "[]", "nonsense", "[" * 20_000, '{"a":"' + "x" * 40_000])
def test_a_body_that_is_no_object_is_rejected(stranger, body) -> None:
    answer = stranger.post("/sign-in/passkey", body, content_type="application/json")

    assert problem(answer) == (401, "passkey_invalid")


def test_a_key_of_an_unsupported_type_is_rejected(viewer, browser_of, monkeypatch) -> None:
    monkeypatch.setattr("mfa.webauthn.ALGORITHMS", (-257,))

    assert problem(add(browser_of(viewer), Device())) == (401, "passkey_invalid")


@pytest.mark.parametrize("path", [OPTIONS, ADD])
def test_an_anonymous_client_adds_nothing(stranger, path) -> None:
    assert problem(post(stranger, path)) == (401, "not_authenticated")


@pytest.mark.parametrize("path", [OPTIONS, ADD, "/sign-in/passkey", "/sign-in/passkey/options"])
def test_the_script_sends_its_origin(viewer, browser_of, path) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = browser_of(viewer).cookies

    assert client.get(path).status_code == 405
    assert problem(post(client, path)) == (403, "csrf_failed")


@pytest.mark.parametrize(
    "url", ["http://gate.example.com", "https://192.0.2.7", "http://127.0.0.1:8000"]
)
def test_without_browser_support_passkeys_are_not_offered(
    viewer, browser_of, settings, url
) -> None:
    client = browser_of(viewer)
    settings.PUBLIC_URL = url
    settings.IS_HTTPS = url.startswith("https")

    assert problem(post(client, OPTIONS)) == (403, "passkeys_unavailable")
    answer = post(client, "/sign-in/passkey/options", {"purpose": "sign-in"})
    assert problem(answer) == (403, "passkeys_unavailable")
    assert b"data-passkey" not in Client().get("/sign-in").content
    assert b"PUBLIC_URL" in client.get("/account/passkeys/add").content


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Gate.Example.com", "https://gate.example.com"),
        ("https://gate.example.com:443", "https://gate.example.com"),
        ("https://gate.example.com:8443", "https://gate.example.com:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_the_origin_is_normalized_as_by_browsers(settings, url, origin) -> None:
    settings.PUBLIC_URL = url

    assert passkeys.webauthn.origin() == origin


def test_a_passkey_can_be_renamed(home, row) -> None:
    client = home
    path = f"/account/passkeys/{row.pk}/rename"

    assert b"My laptop" in client.get(path).content
    answer = client.post(path, {"name": "Old laptop"})

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=passkey-renamed")
    row.refresh_from_db()
    assert row.name == "Old laptop"
    assert last_event("account:passkey:rename").detail == {"passkey": str(row.pk)}


def test_removing_asks_first_and_can_keep_other_sessions(
    viewer, home, device, row, stranger, mails
) -> None:
    sign_in(stranger, device)
    path = f"/account/passkeys/{row.pk}/remove"

    assert "Remove “My laptop”?" in home.get(path).content.decode()
    assert Authenticator.objects.count() == 1
    answer = home.post(path, {})

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=passkey-removed")
    assert Authenticator.objects.count() == 0
    assert stranger.get("/account/").status_code == 200
    assert "passkey-removed" in [mail.kind for mail in mails()]
    assert last_event("account:passkey:remove").actor_id == viewer.pk


def test_removing_can_sign_out_all_other_devices(viewer, home, device, row, stranger) -> None:
    sign_in(stranger, device)

    home.post(f"/account/passkeys/{row.pk}/remove", {"ends_sessions": "on"})

    assert home.get("/account/").status_code == 200
    assert stranger.get("/account/").status_code == 302
    assert BrowserSession.objects.filter(user=viewer).count() == 1


def test_the_last_sign_in_method_cannot_be_removed(home, row, settings) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = settings.ALLOW_EMAIL_LOGIN = False

    answer = home.post(f"/account/passkeys/{row.pk}/remove", {})

    assert answer.status_code == 400
    assert b"This is your only way to sign in." in answer.content
    assert Authenticator.objects.count() == 1


@pytest.mark.parametrize(("transport", "remaining"), [("none", 1), ("smtp", 0)])
def test_links_are_a_sign_in_method_only_where_mail_is_sent(
    home, row, settings, transport, remaining
) -> None:
    settings.ALLOW_EMAIL_LOGIN, settings.MAIL = False, MailSettings(transport)

    home.post(f"/account/passkeys/{row.pk}/remove", {})

    assert Authenticator.objects.count() == remaining


@pytest.mark.parametrize("act", ["add", "{row}/rename", "{row}/remove"])
def test_changing_passkeys_needs_reauthentication(home, row, at_time, act) -> None:
    at_time(timedelta(minutes=16))
    path = f"/account/passkeys/{act.format(row=row.pk)}"

    answer = home.get(path)

    assert (answer.status_code, answer["Location"]) == (
        303,
        f"/confirm?{urlencode({'next': path})}",
    )
    assert home.post(path, {"name": "x"}).status_code == 303
    assert Authenticator.objects.get().name == "My laptop"


@pytest.mark.parametrize("path", [OPTIONS, ADD])
def test_the_script_adds_nothing_without_reauthentication(home, at_time, path) -> None:
    at_time(timedelta(minutes=16))

    assert problem(post(home, path)) == (403, "confirmation_needed")


@pytest.mark.parametrize("act", ["rename", "remove"])
def test_the_passkey_of_another_user_is_not_found(editor, browser_of, row, act) -> None:
    client, path = browser_of(editor), f"/account/passkeys/{row.pk}/{act}"

    assert client.get(path).status_code == 404
    assert client.post(path, {"name": "Mine"}).status_code == 404
    row.refresh_from_db()
    assert row.name == "My laptop"


def test_adding_a_passkey_signs_no_one_in(stranger) -> None:
    post(stranger, ADD, {"credential": {}, "name": "x"})

    assert not is_signed_in(stranger)


def test_attested_data_without_a_key_is_rejected(viewer, browser_of) -> None:
    client, device = browser_of(viewer), Device()
    options = post(client, OPTIONS).json()
    credential = device.create(options)
    raw = to_bytes(credential["response"]["attestationObject"])
    flags = raw.index(bytes([0x05 | ATTESTED]))
    credential["response"]["attestationObject"] = to_text(raw[:flags] + b"\x05" + raw[flags + 1 :])

    answer = post(client, ADD, {"credential": credential, "name": "x"})

    assert problem(answer) == (401, "passkey_invalid")
