"""Our signed tokens: how they are encoded, decoded and checked.

Access tokens (`typ: at+jwt`, RFC 9068) can also be verified by backends with our public keys.
Refresh tokens (`typ: rt+jwt`) are opaque to programs. Both subclass the Token and TokenBackend of
djangorestframework-simplejwt; the caller provides the keys.
"""

import base64
import binascii
import json
import re
import uuid
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from django.conf import settings
from jwt.algorithms import get_default_algorithms
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.tokens import Token

from api.errors import AccessTokenExpired, AccessTokenInvalid

MAX_BYTES = 8192
SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
# The only headers that our tokens have. Tokens with `jku`, `jwk`, `x5u` or `x5c`, which name other
# keys, or with `crit` are refused (ASVS 9.1.3).
HEADER = frozenset({"alg", "kid", "typ"})
ALGORITHMS = get_default_algorithms()
# The last second of the year 9999.
LAST_TIME = 253_402_300_799
# Allowed difference between the clocks of several nodes.
CLOCK_SKEW = timedelta(seconds=30)
REFRESH_PATH = "/api/v1/auth/token/refresh"
# RFC 9068 requires the claim; users sign in at Gatehouse itself.
CLIENT_ID = "gatehouse"


class Signer(NamedTuple):
    """The key that signs. kid is "" for a shared secret."""

    kid: str
    algorithm: str
    key: Any


class Keys(Protocol):
    """The source of the keys of one kind of token."""

    def signer(self) -> Signer: ...

    def verifier(self, algorithm: str, kid: str) -> Any | None:
        """Return the trusted key for this header, or None."""
        ...


class Backend(TokenBackend):
    """Signs and verifies tokens of one type, with the algorithms and keys of that type only."""

    def __init__(self, typ: str, keys: Keys) -> None:
        super().__init__("HS256")
        self.typ, self.keys = typ, keys

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token."""
        signer = self.keys.signer()
        body = json.dumps(payload, separators=(",", ":")).encode()
        signed = f"{_header(signer.algorithm, self.typ, signer.kid)}.{_encoded(body)}"
        signature = ALGORITHMS[signer.algorithm].sign(signed.encode(), signer.key)
        return f"{signed}.{_encoded(signature)}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token with a valid signature; does not check the claims.

        Raises AccessTokenInvalid. `verify` is ignored (it is part of the parent's signature):
        unverified claims are never returned.
        """
        if not looks_like_token(token):
            raise AccessTokenInvalid
        signed, _, signature = token.rpartition(".")
        first, _, second = signed.partition(".")
        algorithm, key = self._key(_json(_decoded(first)))
        if not ALGORITHMS[algorithm].verify(signed.encode(), key, _decoded(signature)):
            raise AccessTokenInvalid
        return _json(_decoded(second))

    def _key(self, header: dict[str, Any]) -> tuple[str, Any]:
        """Return the algorithm and key of a header. There is no key for `none`.

        Raises AccessTokenInvalid.
        """
        algorithm, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ")
        if not (isinstance(algorithm, str) and isinstance(kid, str) and isinstance(typ, str)):
            raise AccessTokenInvalid
        if not header.keys() <= HEADER or _media_type(typ) != self.typ:
            raise AccessTokenInvalid
        key = self.keys.verifier(algorithm, kid)
        if key is None:
            raise AccessTokenInvalid
        return algorithm, key


class SignedToken(Token):
    """The claims of one kind of token; str() signs them."""

    typ: ClassVar[str]

    def __init__(self, backend: Backend, payload: dict[str, Any]) -> None:
        self.token, self.payload, self._token_backend = None, payload, backend

    @classmethod
    def read(cls, backend: Backend, text: str, now: datetime) -> Self:
        """Return the token of `text`, with verified signature and checked claims.

        Raises AccessTokenInvalid, AccessTokenExpired.
        """
        token = cls(backend, backend.decode(text))
        token.check_claims(now)
        return token

    @property
    def audience(self) -> str:
        """The audience of this kind of token."""
        raise TypeError("each kind of token names its own audience")

    def check_claims(self, now: datetime) -> None:
        """Check the claims common to all kinds. Raises AccessTokenInvalid, AccessTokenExpired."""
        issued_at, expires_at = self.payload.get("iat"), self.payload.get("exp")
        latest = (now + CLOCK_SKEW).timestamp()
        if not _is_time(issued_at) or not _is_time(expires_at) or issued_at > latest:  # type: ignore[operator]  # _is_time
            raise AccessTokenInvalid
        if self.payload.get("iss") != settings.PUBLIC_URL or not self._is_for_us():
            raise AccessTokenInvalid
        if not _is_time(self.payload.get("nbf", issued_at)) or not self.payload.get("jti"):
            raise AccessTokenInvalid
        if self.payload.get("nbf", 0) > latest:
            raise AccessTokenInvalid
        if expires_at <= now.timestamp():  # type: ignore[operator]  # _is_time
            raise AccessTokenExpired

    def identifier(self, claim: str) -> uuid.UUID:
        """Return the UUID in a claim. Raises AccessTokenInvalid."""
        try:
            return uuid.UUID(self.payload[claim])
        except (KeyError, ValueError, TypeError, AttributeError):
            raise AccessTokenInvalid from None

    def _is_for_us(self) -> bool:
        audience = self.payload.get("aud")
        return (
            self.audience in audience if isinstance(audience, list) else audience == self.audience
        )


class AccessToken(SignedToken):
    """A short-lived token that authenticates requests."""

    token_type = typ = "at+jwt"  # noqa: S105 - a media type

    @property
    def audience(self) -> str:
        return str(settings.JWT_AUDIENCE)


class RefreshToken(SignedToken):
    """A token that names a family and its generation; see TokenFamily."""

    token_type = typ = "rt+jwt"  # noqa: S105 - a media type

    @property
    def audience(self) -> str:
        return f"{settings.PUBLIC_URL}{REFRESH_PATH}"

    @property
    def generation(self) -> int:
        """Raises AccessTokenInvalid."""
        number = self.payload.get("gen")
        if type(number) is not int or number < 0:
            raise AccessTokenInvalid
        return number


def looks_like_token(text: str) -> bool:
    """Whether `text` is three base64url parts of acceptable length."""
    return len(text) <= MAX_BYTES and SHAPE.fullmatch(text) is not None


def claims_our_issuer(text: str) -> bool:
    """Whether the token names us as its issuer. Verifies nothing."""
    if not looks_like_token(text):
        return False
    try:
        return bool(_json(_decoded(text.split(".")[1])).get("iss") == settings.PUBLIC_URL)
    except AccessTokenInvalid:
        return False


@lru_cache(maxsize=64)
def _header(algorithm: str, typ: str, kid: str) -> str:
    """Return the encoded header."""
    header = {"alg": algorithm, "typ": typ, **({"kid": kid} if kid else {})}
    return _encoded(json.dumps(header, separators=(",", ":")).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    """Decode a part; refuses non-canonical base64url."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise AccessTokenInvalid from None
    if _encoded(content) != part:
        raise AccessTokenInvalid
    return content


def _json(content: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises AccessTokenInvalid."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise AccessTokenInvalid from None
    if not isinstance(found, dict):
        raise AccessTokenInvalid
    return found


def _media_type(typ: str) -> str:
    """Normalize `typ`: the prefix `application/` is optional (RFC 7515, section 4.1.9)."""
    return typ.lower().removeprefix("application/")


def _is_time(value: Any) -> bool:
    """Whether `value` is an integer Unix timestamp before the year 10000; bool is not."""
    return type(value) is int and 0 < value <= LAST_TIME
