"""Sign tokens, and read and verify them strictly (RFC 7515, compact serialization). Pure.

For our own tokens and those of other issuers. PyJWT's algorithms sign and verify; its reader and
writer are as strict, but slower (docs/decisions/0014-seams-of-drf.md).
"""

import base64
import binascii
import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from jwt.algorithms import get_default_algorithms

from api.errors import AccessTokenInvalid
from core.text.strict_json import read_json

SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
ALGORITHMS = get_default_algorithms()


class ParsedToken(NamedTuple):
    """The parts of a token. Nothing of it is verified."""

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes

    def read_claims(self) -> dict[str, Any]:
        """Return the claims. Raises AccessTokenInvalid."""
        return _read_object(self.payload)

    def is_signed_by(self, key: Any, algorithm: str) -> bool:
        """Whether this public key or shared secret verifies the signature."""
        return bool(ALGORITHMS[algorithm].verify(self.signed, key, self.signature))


def has_shape(text: str, max_length: int) -> bool:
    """Whether `text` is three base64url parts of acceptable length."""
    return len(text) <= max_length and SHAPE.fullmatch(text) is not None


def parse(text: str, max_length: int) -> ParsedToken:
    """Return the parts of a token. Raises AccessTokenInvalid."""
    if not has_shape(text, max_length):
        raise AccessTokenInvalid
    signed, _, signature = text.rpartition(".")
    header, _, payload = signed.partition(".")
    return ParsedToken(_header(header), _decoded(payload), signed.encode(), _decoded(signature))


def sign(claims: dict[str, Any], typ: str, kid: str, key: Any, algorithm: str) -> str:
    """Return the signed token. kid: "" for a shared secret."""
    payload = _encoded(json.dumps(claims, separators=(",", ":")).encode())
    signed = f"{_encoded_header(algorithm, kid, typ)}.{payload}"
    return f"{signed}.{_encoded(ALGORITHMS[algorithm].sign(signed.encode(), key))}"


def unverified_claims(text: str, max_length: int) -> dict[str, Any]:
    """Return the claims of a token, to select who verifies it; {} if it cannot be read."""
    if not has_shape(text, max_length):
        return {}
    try:
        return _read_object(_decoded(text.split(".")[1]))
    except AccessTokenInvalid:
        return {}


@lru_cache(maxsize=64)
def _header(part: str) -> dict[str, Any]:
    """Parse a header. Cached, because all tokens of a key have the same."""
    return _read_object(_decoded(part))


@lru_cache(maxsize=64)
def _encoded_header(algorithm: str, kid: str, typ: str) -> str:
    header = {"alg": algorithm, **({"kid": kid} if kid else {}), "typ": typ}
    return _encoded(json.dumps(header, separators=(",", ":")).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    """Decode a part; refuses non-canonical base64url, which would give a token several forms."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise AccessTokenInvalid from None
    if _encoded(content) != part:
        raise AccessTokenInvalid
    return content


def _read_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object without repeated names. Raises AccessTokenInvalid."""
    try:
        found = read_json(content.decode())
    except (ValueError, RecursionError):
        raise AccessTokenInvalid from None
    if not isinstance(found, dict):
        raise AccessTokenInvalid
    return found
