"""Values are decrypted only where they were encrypted."""

import pytest

from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.crypto.tokens import digest, make_token


def test_an_encrypted_value_can_be_decrypted() -> None:
    assert decrypt(encrypt("secret text", "a.b:1"), "a.b:1") == "secret text"


def test_encrypting_twice_gives_two_values() -> None:
    assert encrypt("x", "a.b:1") != encrypt("x", "a.b:1")


def test_a_value_moved_to_another_row_is_not_decrypted() -> None:
    encrypted = encrypt("secret text", "a.b:1")

    with pytest.raises(DecryptionError):
        decrypt(encrypted, "a.b:2")


def test_a_changed_value_is_not_decrypted() -> None:
    encrypted = encrypt("secret text", "a.b:1")
    changed = encrypted[:-5] + ("A" if encrypted[-5] != "A" else "B") + encrypted[-4:]

    with pytest.raises(DecryptionError):
        decrypt(changed, "a.b:1")


def test_an_unknown_version_is_not_decrypted() -> None:
    with pytest.raises(DecryptionError, match="unknown version 'v9'"):
        decrypt("v9:AAAA", "a.b:1")


def test_tokens_are_long_and_unique() -> None:
    tokens = {make_token() for _number in range(1000)}

    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {43}


def test_a_digest_is_bound_to_its_purpose() -> None:
    assert digest("magic-link", "t") != digest("reset-password", "t")
