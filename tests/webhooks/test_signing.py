"""Signatures of Standard Webhooks, against the specification's own example."""

import base64
from datetime import UTC, datetime

import pytest

from webhooks.signing import make_secret, secret_of, sign, signature_headers

# From the reference implementations: github.com/standard-webhooks/standard-webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_specification() -> None:
    assert sign(SECRET, webhook_id=ID, at=AT, body=BODY) == SIGNATURE


def test_the_headers_are_those_of_the_specification() -> None:
    assert signature_headers([SECRET], webhook_id=ID, at=AT, body=BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_two_secrets_sign_separately() -> None:
    other = make_secret()

    headers = signature_headers([other, SECRET], webhook_id=ID, at=AT, body=BODY)

    assert headers["webhook-signature"].split(" ") == [
        sign(other, webhook_id=ID, at=AT, body=BODY),
        SIGNATURE,
    ]


def test_a_secret_has_the_form_and_length_of_the_specification() -> None:
    first, second = make_secret(), make_secret()

    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


@pytest.mark.parametrize("text", [SECRET, SECRET.removeprefix("whsec_"), f" {SECRET}\n"])
def test_a_secret_from_elsewhere_has_one_stored_form(text: str) -> None:
    assert secret_of(text) == SECRET


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_from_elsewhere_has_24_to_64_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="too short or too long"):
        secret_of(base64.b64encode(bytes(size)).decode())


@pytest.mark.parametrize("text", ["whsec_not base64 at all!", "ä" * 40])
def test_a_secret_from_elsewhere_is_base64(text: str) -> None:
    with pytest.raises(ValueError, match="no base64") as failed:
        secret_of(text)

    assert text not in str(failed.value)
