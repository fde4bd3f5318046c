"""TOTP codes: test values of RFC 6238, the window, input formats."""

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from mfa import totp

# RFC 6238, appendix B, SHA-1; the last six of its eight digits.
SEED = b"12345678901234567890"
VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}


@pytest.mark.parametrize(("moment", "code"), VECTORS.items())
def test_codes_match_rfc_6238(moment: int, code: str) -> None:
    assert totp.code_of(SEED, totp.step_at(moment)) == code


@pytest.mark.parametrize(
    ("offset", "is_right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_code_is_valid_in_its_time_step_and_the_adjacent_ones(
    offset: int, is_right: bool
) -> None:
    step = 1000
    code = totp.code_of(SEED, step + offset)

    found = totp.matching_step(SEED, code, step * totp.STEP_SECONDS + 7)

    assert found == (step + offset if is_right else None)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("123456", "123456"),
        (" 123 456 ", "123456"),
        ("123-456", "123456"),
        ("12345", ""),
        ("1234567", ""),
        ("12345a", ""),
        ("١٢٣٤٥٦", ""),
        ("", ""),
    ],
)
def test_spaces_are_ignored_and_invalid_codes_rejected(typed: str, code: str) -> None:
    assert totp.parse_code(typed) == code


def test_a_seed_has_160_random_bits_and_can_be_parsed() -> None:
    seed = totp.make_secret()

    assert len(seed) == 20
    assert seed != totp.make_secret()
    assert totp.from_text(totp.as_text(seed)) == seed


def test_the_provisioning_uri_contains_all_parameters() -> None:
    url = urlsplit(totp.provisioning_uri(SEED, issuer="Gate house", account="anna@example.com"))

    assert (url.scheme, url.netloc) == ("otpauth", "totp")
    assert url.path == "/Gate%20house%3Aanna%40example.com"
    assert parse_qs(url.query) == {
        "secret": [base64.b32encode(SEED).decode()],
        "issuer": ["Gate house"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
