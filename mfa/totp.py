"""TOTP (RFC 6238) with SHA-1, six digits and thirty seconds. Pure.

SHA-1, because many apps ignore the algorithm in a QR code; its weakness does not affect HMAC
(RFC 6238, section 1.2 and errata).
"""

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

SECRET_BYTES = 20  # as long as the hash, RFC 4226 section 4
DIGITS = 6
STEP_SECONDS = 30
# The current step, the previous one (slow typing), the next one (fast clocks).
WINDOW = (0, -1, 1)


def make_secret() -> bytes:
    """A new random seed of 160 bits."""
    return secrets.token_bytes(SECRET_BYTES)


def as_text(secret: bytes) -> str:
    """The seed in base32, as apps expect it."""
    return base64.b32encode(secret).decode()


def from_text(text: str) -> bytes:
    """The seed that as_text() wrote."""
    return base64.b32decode(text)


def grouped(text: str, size: int = 4) -> str:
    """`text` in groups, which are easier to type."""
    return " ".join(text[start : start + size] for start in range(0, len(text), size))


def step_at(unix_time: float) -> int:
    """The number of the time step."""
    return int(unix_time) // STEP_SECONDS


def code_of(secret: bytes, step: int) -> str:
    """The six digits of a step."""
    return HOTP(secret, DIGITS, SHA1()).generate(step).decode()  # noqa: S303 - see above


def matching_step(secret: bytes, code: str, unix_time: float) -> int | None:
    """The step of WINDOW around `unix_time` whose code is `code`, or None.

    Compares every step, so that timing reveals nothing.
    """
    present = step_at(unix_time)
    steps = [present + offset for offset in WINDOW]
    found = [hmac.compare_digest(code_of(secret, step), code) for step in steps]
    return next((step for step, is_same in zip(steps, found, strict=True) if is_same), None)


def parse_code(text: str) -> str:
    """The six digits of the typed text without spaces and dashes; "" if it is no such code."""
    digits = "".join(text.split()).replace("-", "")
    return digits if len(digits) == DIGITS and digits.isascii() and digits.isdigit() else ""


def provisioning_uri(secret: bytes, *, issuer: str, account: str) -> str:
    """The otpauth:// URI of the QR code (Google's key URI format)."""
    label = quote(f"{issuer}:{account}", safe="")
    parameters = {
        "secret": as_text(secret),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_SECONDS,
    }
    return f"otpauth://totp/{label}?{urlencode(parameters, quote_via=quote)}"
