"""Our two kinds of signed tokens: what stands in them, and what is believed of what comes back.

Access tokens (`typ: at+jwt`, RFC 9068) are for backends too, which verify them with our public
keys. Refresh tokens (`typ: rt+jwt`) are for us alone; programs treat them as opaque. Both stand on
djangorestframework-simplejwt's Token and TokenBackend; keys come from the caller.
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
# A header of ours has these and no other. `jku`, `jwk`, `x5u`, `x5c` name keys from elsewhere and
# `crit` asks for what we do not do (ASVS 9.1.3): their mere presence is reason enough.
HEADER = frozenset({"alg", "kid", "typ"})
ALGORITHMS = get_default_algorithms()
# The last second of the year 9999.
LAST_TIME = 253_402_300_799
# How far the clocks of several nodes may be apart.
CLOCK_SKEW = timedelta(seconds=30)
REFRESH_PATH = "/api/v1/auth/token/refresh"
# RFC 9068 demands the claim; people sign in at the house itself here.
CLIENT_ID = "gatehouse"


class Signer(NamedTuple):
    """What signs now; kid is empty where one shared secret does."""

    kid: str
    algorithm: str
    key: Any


class Keys(Protocol):
    """Where the keys of one kind of token come from."""

    def signer(self) -> Signer: ...

    def verifier(self, algorithm: str, kid: str) -> Any | None:
        """The key for this header, None when there is none that we believe."""
        ...


class Backend(TokenBackend):
    """Signs with a type and a key id; believes the types, algorithms and keys of one kind alone."""

    def __init__(self, typ: str, keys: Keys) -> None:
        super().__init__("HS256")
        self.typ, self.keys = typ, keys

    def encode(self, payload: dict[str, Any]) -> str:
        """The signed token."""
        signer = self.keys.signer()
        body = json.dumps(payload, separators=(",", ":")).encode()
        signed = f"{_header(signer.algorithm, self.typ, signer.kid)}.{_encoded(body)}"
        signature = ALGORITHMS[signer.algorithm].sign(signed.encode(), signer.key)
        return f"{signed}.{_encoded(signature)}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """The claims of a token whose signature is good; they themselves are not judged here.

        Raises AccessTokenInvalid for everything else. `verify` exists for the parent's sake:
        nothing unverified is ever returned.
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
        """The algorithm and key that must have signed; `none` has no key of any kind of ours.

        Raises AccessTokenInvalid.
        """
        algorithm, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ")
        if not (isinstance(algorithm, str) and isinstance(kid, str) and isinstance(typ, str)):
            raise AccessTokenInvalid
        if not header.keys() <= HEADER or _kind(typ) != self.typ:
            raise AccessTokenInvalid
        key = self.keys.verifier(algorithm, kid)
        if key is None:
            raise AccessTokenInvalid
        return algorithm, key


class SignedToken(Token):
    """Claims of one kind; str() signs them."""

    typ: ClassVar[str]

    def __init__(self, backend: Backend, payload: dict[str, Any]) -> None:
        self.token, self.payload, self._token_backend = None, payload, backend

    @classmethod
    def read(cls, backend: Backend, text: str, now: datetime) -> Self:
        """A token that is whole, of this kind and alive.

        Raises AccessTokenInvalid, AccessTokenExpired.
        """
        token = cls(backend, backend.decode(text))
        token.judge(now)
        return token

    @property
    def audience(self) -> str:
        """For whom tokens of this kind are."""
        raise TypeError("each kind of token names its own audience")

    def judge(self, now: datetime) -> None:
        """What every claim set must have. Raises AccessTokenInvalid, AccessTokenExpired."""
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
        """The UUID in a claim. Raises AccessTokenInvalid."""
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
    """Says who calls, for minutes."""

    token_type = typ = "at+jwt"  # noqa: S105 - a media type

    @property
    def audience(self) -> str:
        return str(settings.JWT_AUDIENCE)


class RefreshToken(SignedToken):
    """Says which generation of which family comes; see TokenFamily."""

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
    """Is it three parts of base64url, and not too long?"""
    return len(text) <= MAX_BYTES and SHAPE.fullmatch(text) is not None


def claims_our_issuer(text: str) -> bool:
    """Does it say that we have made it? Nothing is verified: this only tells whose it is."""
    if not looks_like_token(text):
        return False
    try:
        return bool(_json(_decoded(text.split(".")[1])).get("iss") == settings.PUBLIC_URL)
    except AccessTokenInvalid:
        return False


@lru_cache(maxsize=64)
def _header(algorithm: str, typ: str, kid: str) -> str:
    """The first part of every token of that type and key."""
    header = {"alg": algorithm, "typ": typ, **({"kid": kid} if kid else {})}
    return _encoded(json.dumps(header, separators=(",", ":")).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    """One part of a token in the one spelling that base64url has for it."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise AccessTokenInvalid from None
    if _encoded(content) != part:
        raise AccessTokenInvalid
    return content


def _json(content: bytes) -> dict[str, Any]:
    """The object that `content` is. Raises AccessTokenInvalid."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise AccessTokenInvalid from None
    if not isinstance(found, dict):
        raise AccessTokenInvalid
    return found


def _kind(typ: str) -> str:
    """RFC 7515, section 4.1.9: a media type whose `application/` may be left out."""
    return typ.lower().removeprefix("application/")


def _is_time(value: Any) -> bool:
    """Whole seconds since 1970 of a year with four digits; true and "12" are no numbers."""
    return type(value) is int and 0 < value <= LAST_TIME
