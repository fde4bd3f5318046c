"""Which key of a key set signs, is pending and is trusted, to the exact moment."""

from datetime import UTC, datetime, timedelta

import pytest

from api.tokens.keyset import KeySet, KeySetEntry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


def entry(kid: str, active_from: datetime = NOW, retires_at: datetime | None = None) -> KeySetEntry:
    return KeySetEntry(kid, "ES256", {}, None, "", active_from, retires_at)


def test_a_key_is_trusted_until_it_is_retired() -> None:
    keys = KeySet((entry("a", retires_at=NOW),))

    assert keys.verifier("a", "ES256", NOW - MOMENT) == keys.keys[0]
    assert keys.verifier("a", "ES256", NOW) is None


def test_a_key_is_pending_until_its_start_and_signs_afterwards() -> None:
    keys = KeySet((entry("a"),))

    before, then = (
        (keys.signer("ES256", at, HOUR), keys.pending("ES256", at)) for at in (NOW - MOMENT, NOW)
    )

    assert before == (None, keys.keys[0])
    assert then == (keys.keys[0], None)


def test_a_key_that_retires_before_it_signs_is_not_pending() -> None:
    keys = KeySet((entry("a", active_from=NOW + HOUR, retires_at=NOW),))

    assert keys.pending("ES256", NOW) is None


def test_a_key_that_retires_before_a_token_of_it_ends_does_not_sign() -> None:
    keys = KeySet((entry("old"), entry("new", retires_at=NOW + HOUR)))

    assert keys.signer("ES256", NOW, HOUR - MOMENT) == keys.keys[1]
    assert keys.signer("ES256", NOW, HOUR) == keys.keys[0]


@pytest.mark.parametrize(("kid", "algorithm"), [("b", "ES256"), ("a", "EdDSA")])
def test_a_key_verifies_only_its_own_id_and_algorithm(kid: str, algorithm: str) -> None:
    assert KeySet((entry("a"),)).verifier(kid, algorithm, NOW) is None
