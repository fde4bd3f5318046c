"""Sealed values open only where they were sealed."""

import pytest

from core.encryption import DecryptionError, seal, unseal
from core.tokens import digest, make_token


def test_a_sealed_value_opens_in_its_place() -> None:
    assert unseal(seal("secret text", place="a.b:1"), place="a.b:1") == "secret text"


def test_sealing_twice_gives_two_values() -> None:
    assert seal("x", place="a.b:1") != seal("x", place="a.b:1")


def test_a_value_moved_to_another_row_does_not_open() -> None:
    sealed = seal("secret text", place="a.b:1")

    with pytest.raises(DecryptionError):
        unseal(sealed, place="a.b:2")


def test_a_changed_value_does_not_open() -> None:
    sealed = seal("secret text", place="a.b:1")
    changed = sealed[:-5] + ("A" if sealed[-5] != "A" else "B") + sealed[-4:]

    with pytest.raises(DecryptionError):
        unseal(changed, place="a.b:1")


def test_an_unknown_version_does_not_open() -> None:
    with pytest.raises(DecryptionError, match="unknown seal version 'v9'"):
        unseal("v9:AAAA", place="a.b:1")


def test_tokens_are_long_and_never_twice_the_same() -> None:
    tokens = {make_token() for _number in range(1000)}

    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {43}


def test_a_digest_is_bound_to_its_purpose() -> None:
    assert digest("magic-link", "t") != digest("reset-password", "t")
