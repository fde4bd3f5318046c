"""The format of API keys: created, parsed and never confused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.apikeys import key_format
from api.apikeys.key_format import ALPHABET, checksum, make, parse, shown_id

EXAMPLE = "gth_" + "AbCdEf0123" + "_" + "x" * 43
LETTERS = st.sampled_from(ALPHABET)


def test_a_new_key_has_the_documented_form() -> None:
    key = make()

    assert len(key.text) == 64
    assert key.text == f"gth_{key.id}_{key.secret}{key.text[-6:]}"
    assert (len(key.id), len(key.secret)) == (10, 43)
    assert key.ending == key.text[-4:]


def test_keys_do_not_repeat() -> None:
    keys = [make() for _number in range(500)]

    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 500


def test_the_secret_holds_256_bits() -> None:
    assert len(ALPHABET) ** key_format.SECRET_LENGTH > 2**256


def test_a_key_is_not_in_its_repr() -> None:
    key = make()

    assert key.secret not in repr(key)
    assert key.text[-6:] not in repr(key)


def test_the_checksum_is_crc32_in_base_62() -> None:
    assert checksum("123456789") == "3jZRME"  # 0xcbf43926, the check value of CRC-32
    assert checksum("") == "000000"


def test_a_formatted_key_can_be_parsed() -> None:
    for _number in range(200):
        key = make()
        assert parse(key.text) == key


@given(st.integers(0, 63), LETTERS)
def test_one_mistyped_letter_is_always_noticed(place: int, letter: str) -> None:
    text = EXAMPLE + checksum(EXAMPLE)
    typed = text[:place] + letter + text[place + 1 :]

    assert (parse(typed) is not None) == (typed == text)


@given(st.integers(0, 62))
def test_two_swapped_letters_are_noticed(place: int) -> None:
    key = make().text
    typed = key[:place] + key[place + 1] + key[place] + key[place + 2 :]

    assert (parse(typed) is not None) == (typed == key)


@given(st.text())
def test_other_text_is_not_parsed_as_a_key(text: str) -> None:
    assert parse(text) is None


@given(st.text(alphabet="gth_" + ALPHABET, min_size=60, max_size=70))
def test_text_that_resembles_a_key_is_rejected(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda key: f" {key}",
        lambda key: f"{key}\n",
        lambda key: f"{key}\x00",
        lambda key: key.upper(),
        lambda key: key[:-1],
        lambda key: f"{key},{key}",
        lambda key: f"Bearer {key}",
        lambda key: key.replace("gth_", "gth-"),
        lambda key: key.replace(key[5], "\N{FULLWIDTH DIGIT ONE}"),
        lambda _key: "",
    ],
)
def test_a_key_with_surrounding_text_is_rejected(change: Callable[[str], str]) -> None:
    assert parse(change(make().text)) is None


def test_the_id_is_extracted_from_the_displayed_form() -> None:
    key = make()

    for text in (key.id, f"gth_{key.id}", f"gth_{key.id}_…{key.ending}", f" {key.text} "):
        assert shown_id(text) == key.id
    assert shown_id("gth_short") is None
    assert shown_id("anna@example.com") is None
